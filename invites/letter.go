package invites

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// LetterState is how far a letter has come.
type LetterState string

// The states. Those but the first two are final: the row then has no address any more, only its hash.
const (
	LetterQueued   LetterState = "queued"
	LetterSent     LetterState = "sent"
	LetterRefused  LetterState = "refused"
	LetterRedeemed LetterState = "redeemed" // its link was used
	LetterExpired  LetterState = "expired"
	LetterRevoked  LetterState = "revoked"
)

// Letter is an invitation by e-mail: a link for one person, on its way to an address.
type Letter struct {
	ID          int64
	Request     string // of the command; with the address and the room, it names the letter
	CommandRoom id.RoomID
	Room        id.RoomID
	Maker       id.UserID
	Server      string // the maker's
	Address     string // empty once the state is final
	Hash        string // of the address
	Domain      string // hash of the address's domain
	Language    string
	Link        int64
	State       LetterState
	Code        string      // why it waits, or was refused
	Detail      room.Phrase // the same for people
	Attempt     int
	CreatedAt   time.Time
	QueuedAt    time.Time // last given to be sent: later than CreatedAt where it was sent again
	DueAt       time.Time // of the next try; during a try, its end
	SentAt      time.Time
	SettledAt   time.Time // when the state became final
	ExpiresAt   time.Time // of the link
}

// LetterResult is the outcome of one try to send a letter.
type LetterResult struct {
	ID      int64
	Attempt int // only this attempt counts
	State   LetterState
	Code    string
	Detail  room.Phrase
	DueAt   time.Time // for LetterQueued
	At      time.Time
	Drop    string // hash of the secret of this attempt, if the letter surely did not leave; else empty
}

// LetterCount selects the letters that count against limits, since a time.
type LetterCount struct {
	Maker  id.UserID
	Room   id.RoomID
	Hash   string
	Domain string
	Since  time.Time
}

// LetterCounts are the letters of a LetterCount.
type LetterCounts struct{ All, Maker, Domain, Address int64 }

// Reason codes of letters.
const (
	CodeLetterOff     = "letter.off"     // the operator has not set up mail
	CodeLetterBlocked = "letter.blocked" // the recipient wants no letters
	CodeLetterAgain   = "letter.again"   // the room's last letter to the address is too recent
	CodeLetterOpen    = "letter.open"    // a letter to the address is on its way, or was sent
	CodeLetterPerson  = "letter.person"  // limits
	CodeLetterDomain  = "letter.domain"
	CodeLetterAll     = "letter.all"
	CodeLetterAddress = "letter.address"
	CodeLetterServer  = "letter.server" // the mail server refused it
	CodeLetterLater   = "letter.later"  // the mail server wants it later
	CodeLetterTrouble = "letter.trouble"
	CodeLetterGivenUp = "letter.given_up"
	CodeLetterNone    = "letter.none"    // no such letter, or not for the asker
	CodeLetterInvalid = "letter.invalid" // no address for letters
)

// Refusal says why somebody can't have a link, or a letter.
type Refusal struct {
	Code   string
	Phrase room.Phrase
}

// Error implements error.
func (r Refusal) Error() string { return r.Code }
