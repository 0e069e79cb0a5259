package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Way says how an invitation came about.
type Way string

// The ways.
const (
	WayBot        Way = "bot"         // through a command, sent by the bot
	WayActor      Way = "actor"       // through a command, sent as the asking user
	WayNative     Way = "native"      // by the inviter's own client, judged before the homeserver sent it
	WayHand       Way = "hand"        // past the bot
	WayThirdParty Way = "third_party" // by e-mail or telephone number
)

// Fate says how an invitation ended.
type Fate string

// The fates.
const (
	FatePending   Fate = "pending"
	FateAccepted  Fate = "accepted"
	FateDeclined  Fate = "declined"
	FateWithdrawn Fate = "withdrawn"
	FateExpired   Fate = "expired" // withdrawn by the bot, as the room's policy says
	FateBanned    Fate = "banned"
	FateRenewed   Fate = "renewed" // the target was invited again meanwhile: a later invitation goes on
	FateUnseen    Fate = "unseen"  // it ended while the bot was not in the room
)

// Invitation is one invitation seen in a room where the bot is, made through it or not.
type Invitation struct {
	ID       int64
	Event    id.EventID // the invitation
	Room     id.RoomID
	Target   id.UserID
	Sender   id.UserID // of the event
	Inviter  id.UserID // the user behind the bot's invitation, else the sender
	Way      Way
	Command  id.EventID // empty: none
	At       time.Time  // when it was sent; never later than when it was seen
	Fate     Fate
	EndedAt  time.Time  // zero while pending
	EndedBy  id.UserID  // the invitee, or the withdrawing or banning user
	Ending   id.EventID // the ending event; empty while pending, and where it was not seen
	Reminded bool       // the inviter was reminded of it
	Turned   string     // the last finding against it that was acted on or told
}

// Place is a place in the order of invitations or audit rows by time. The zero place is before the newest one.
type Place struct {
	At time.Time
	ID int64
}

// LedgerQuery selects invitations of a room. An empty field selects all.
type LedgerQuery struct {
	Room    id.RoomID
	Text    string // part of the id of the invited person or of the inviter, in any case
	Inviter id.UserID
	Fate    Fate
	Since   time.Time
	Until   time.Time // the first moment that is too late
	After   Place     // only invitations older than the one at this place
}

// AddressInvitation is an open invitation to an e-mail address or a telephone number that nobody has on Matrix yet
// (https://spec.matrix.org/latest/client-server-api/#mroomthird_party_invite).
type AddressInvitation struct {
	Event  id.EventID
	Room   id.RoomID
	Token  string // state key of the event
	Sender id.UserID
	Name   string // the address as the identity server shows it, mostly shortened, such as "a...@e..."
	At     time.Time
}

// Tally counts the invitations of one fate, in one week or by one inviter.
type Tally struct {
	Week    time.Time // its Monday, UTC
	Inviter id.UserID
	Fate    Fate
	Count   int
}

// ExpiryRule is the part of a room's policy about unanswered invitations.
type ExpiryRule struct {
	After     time.Duration // age at which one is withdrawn; 0: never
	Remind    time.Duration // how long before the end its inviter is reminded; 0: not at all
	Powerless bool          // the bot lacks the power to withdraw
	Lends     bool          // the policy's author lacks the power to withdraw, so nothing is withdrawn
}

// OwnInvitation is an open invitation of the bot itself.
type OwnInvitation struct {
	Room   id.RoomID
	Sender id.UserID
	Direct bool // to a direct chat
}
