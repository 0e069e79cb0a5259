package invites

import (
	"strings"
	"time"

	"go.mau.fi/util/variationselector"
	"maunium.net/go/mautrix/id"

	"usher/room"
)

// CardKind is the kind of question on a card.
type CardKind string

// The kinds.
const (
	CardApproval CardKind = "approval" // may this invitation be sent?
	CardKnock    CardKind = "knock"    // may this person come in?
	CardConfirm  CardKind = "confirm"  // does the actor of a command mean it?
	CardServer   CardKind = "server"   // what of a server whose users send too many invitations?
	CardWithdraw CardKind = "withdraw" // may these open invitations be withdrawn? The voter does it
	CardMove     CardKind = "move"     // may the room name another room in place of one that was replaced? The voter does it
)

// CardState is where a card stands.
type CardState string

// The life of a card.
const (
	CardOpen      CardState = "open"
	CardAccepted  CardState = "accepted"
	CardDeclined  CardState = "declined"
	CardBanned    CardState = "banned"    // a knock declined, and the user banned
	CardExpired   CardState = "expired"   // nobody decided in time
	CardCancelled CardState = "cancelled" // the question is gone; Code says why
)

// Card is a question to the users with the right to decide it, shown to them as a notice in a room. It is unique by (Command, Action, Room,
// Target).
type Card struct {
	ID        int64
	Number    int64 // counts the cards shown in a room, from 1
	Kind      CardKind
	Room      id.RoomID  // room of the question
	ShownIn   id.RoomID  // room showing the card
	Event     id.EventID // the notice; empty until it is sent
	Command   id.EventID // the asking command or knock; for a link, the request of the use
	Home      id.RoomID  // room of the event Command; empty for a link
	Action    room.ActionType
	Actor     id.UserID // asks; for a knock, the knocking user
	Target    id.UserID
	Performer id.UserID // would send it; empty for a knock: the voter or the bot
	Reason    string
	Remark    room.Phrase // a hint for the voters; may be empty
	Targets   []id.UserID // of a confirmation and a withdrawal: the targets
	Policy    id.EventID  // policy in force
	Votes     int64       // number of agreeing votes needed
	Level     room.Level  // power level in Room needed for a vote
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never

	State    CardState
	Code     string    // reason code, where State alone does not say it
	ClosedBy id.UserID // voter of the deciding vote; may be empty
	Answer   string    // reason given with the vote
	ClosedAt time.Time
	Told     bool // its outcome is carried out and told
}

// Commanded reports whether the card's Command is an event, of a command or a knock, and no other key.
func (c Card) Commanded() bool { return strings.HasPrefix(string(c.Command), "$") }

// ByLink reports whether the card is about the use of a link: no command waits for it.
func (c Card) ByLink() bool { return strings.HasPrefix(string(c.Command), LinkRequest) }

// CardQuery selects open cards of a kind. An empty field selects all.
type CardQuery struct {
	Kind    CardKind // required
	Room    id.RoomID
	ShownIn id.RoomID
	Actor   id.UserID
}

// CardTodo selects cards that are open, or whose outcome is not told yet. A zero field other than Limit selects all.
type CardTodo struct {
	Command id.EventID
	Room    id.RoomID
	After   int64     // only cards with a larger ID
	Due     time.Time // only cards that are closed, not shown yet, or expired by then
	Limit   int
}

// Choice is a vote's content.
type Choice string

// The choices.
const (
	Accept  Choice = "accept"
	Decline Choice = "decline"
	BanThem Choice = "ban" // decline a knock, and ban

	Pause  Choice = "pause" // these two are about a request under way, and no votes
	Resume Choice = "resume"
)

// The reactions counted as votes, or as a wish about a request under way. Clients may add a variation selector.
const (
	ReactAccept  = "✅"
	ReactDecline = "❌"
	ReactBan     = "🚫"
	ReactPause   = "⏸"
	ReactResume  = "▶"
)

// ChoiceOf reads a reaction on a card. It is unknown for any other reaction.
func ChoiceOf(reaction string) (c Choice, known bool) {
	switch variationselector.Remove(reaction) {
	case ReactAccept:
		return Accept, true
	case ReactDecline:
		return Decline, true
	case ReactBan:
		return BanThem, true
	case ReactPause:
		return Pause, true
	case ReactResume:
		return Resume, true
	}
	return "", false
}

// Vote is one user's vote on a card: a later one replaces it.
type Vote struct {
	Voter  id.UserID
	Choice Choice
	Room   id.RoomID  // where Event stands
	Event  id.EventID // the reaction or command; redacted, it does not count
	Reason string
	At     time.Time
}

// Closing ends an open card, with its consequences in the same commit.
type Closing struct {
	Card   int64
	State  CardState
	Code   string
	By     id.UserID
	Answer string
	At     time.Time
	Told   bool    // nothing is left to carry out or tell
	Row    *Change // with an ID: the waiting row as it is now to be; without: a new row
	Audit  []Audit
}

// Reason codes of closed cards, and of the rows waiting for them.
const (
	CodeDenied    = "approval.denied"       // the voters said no
	CodeExpired   = "approval.expired"      // nobody decided in time
	CodeRemoved   = "approval.removed"      // the card was redacted
	CodeAskerLeft = "approval.asker_left"   // the asking user has left the room
	CodeNoRoom    = "approval.no_room"      // the card can't be shown where the policy wants it
	CodeAsked     = "approval.asked"        // somebody else's card asks the same
	CodeTooMany   = "approval.too_many"     // more than one command may ask for
	CodeKnockGone = "knock.gone"            // the user does not knock any more
	CodeBreaker   = "policy.knocks.breaker" // knocks come too fast to let anybody in unseen
)
