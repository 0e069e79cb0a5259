package invites

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// CardKind says what a card asks.
type CardKind string

// The kinds.
const (
	CardApproval CardKind = "approval" // may this invitation be sent?
	CardKnock    CardKind = "knock"    // may this person come in?
)

// CardState is where a card stands.
type CardState string

// The life of a card.
const (
	CardOpen      CardState = "open"
	CardAccepted  CardState = "accepted"
	CardDeclined  CardState = "declined"
	CardBanned    CardState = "banned"    // a knock declined, and whoever knocked banned
	CardExpired   CardState = "expired"   // nobody decided in time
	CardCancelled CardState = "cancelled" // the question is gone; Code says why
)

// Card is a question to the people who may decide it: what they see as a notice in a room.
// It is unique by (Command, Action, Room, Target).
type Card struct {
	ID        int64
	Number    int64 // counts the cards shown in a room, from 1
	Kind      CardKind
	Room      id.RoomID  // room that it is about
	ShownIn   id.RoomID  // room that it is shown in
	Event     id.EventID // the notice; empty until it is sent
	Command   id.EventID // what asked: the command, or the knock
	Home      id.RoomID  // room that event stands in
	Action    room.ActionType
	Actor     id.UserID // who asks; for a knock, who knocks
	Target    id.UserID
	Performer id.UserID // who would send it; empty for a knock: whoever decides, or the bot
	Reason    string
	Remark    string     // what those who decide should know besides; may be empty
	Policy    id.EventID // policy that was in force
	Votes     int64      // as many that agree decide
	Level     room.Level // power level in Room from which on a vote counts
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never

	State    CardState
	Code     string    // reason code, where State alone does not say it
	ClosedBy id.UserID // whose vote completed it; empty where nobody's did
	Answer   string    // the reason that they gave
	ClosedAt time.Time
	Told     bool // its outcome is carried out and told
}

// Choice is a vote's content.
type Choice string

// The choices.
const (
	Accept  Choice = "accept"
	Decline Choice = "decline"
	BanThem Choice = "ban" // decline a knock, and ban
)

// Vote is one person's vote on a card: a later one replaces it.
type Vote struct {
	Voter  id.UserID
	Choice Choice
	Room   id.RoomID  // where Event stands
	Event  id.EventID // the reaction or command; redacted, it does not count
	Reason string
	At     time.Time
}

// Closing ends an open card, with what follows from it in the same commit.
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

// CardStore is the part of Store that keeps cards. Its methods return ErrNotFound for a card that there is not.
type CardStore interface {
	// OpenCard adds a card, with the next number of the room that shows it, unless its question has one already, and returns
	// it as stored.
	OpenCard(ctx context.Context, c Card) (Card, error)
	// PostedCard remembers the notice of a card.
	PostedCard(ctx context.Context, card int64, notice id.EventID) error
	// CardShown returns the card whose notice is an event.
	CardShown(ctx context.Context, notice id.EventID) (Card, error)
	// CardNumbered returns a card by the room that shows it and its number there.
	CardNumbered(ctx context.Context, shownIn id.RoomID, number int64) (Card, error)
	// CardVoted returns the card on which an event is a vote.
	CardVoted(ctx context.Context, vote id.EventID) (Card, error)
	// CardOf returns the card of a question.
	CardOf(ctx context.Context, command id.EventID, action room.ActionType, r id.RoomID, target id.UserID) (Card, error)
	// CardsTodo returns the cards that are open, or whose outcome is still to be told, by ID.
	CardsTodo(ctx context.Context) ([]Card, error)
	// Knocked returns the knock cards of a room that were made after since, open or not, the newest first.
	Knocked(ctx context.Context, r id.RoomID, since time.Time, limit int) ([]Card, error)
	// CastVote counts a vote on an open card; it replaces an earlier one by the same voter. False: the card is closed.
	CastVote(ctx context.Context, card int64, v Vote) (bool, error)
	// WithdrawVote takes a vote back, if the voter has not voted otherwise since.
	WithdrawVote(ctx context.Context, card int64, vote id.EventID) error
	// Votes returns the votes on a card, in the order of voting.
	Votes(ctx context.Context, card int64) ([]Vote, error)
	// CloseCard ends a card. False: it was closed before, and nothing was changed.
	CloseCard(ctx context.Context, c Closing) (bool, error)
	// ToldCard ends what is to be done about a closed card.
	ToldCard(ctx context.Context, card int64) error
}
