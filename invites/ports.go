package invites

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Received is an event that the inbox keeps: a command, or a change in the bot's own life (an invitation to it, a tombstone).
type Received struct {
	Seq        int64           // order of arrival, set by Store.Receive
	Event      id.EventID      // unique: an event acts once
	Room       id.RoomID       // room that it came from
	Sender     id.UserID       // as the homeserver vouches for it
	Type       string          // event type
	StateKey   *string         // nil: no state event
	Raw        json.RawMessage // the event as received
	SentAt     time.Time       // origin_server_ts
	ReceivedAt time.Time       // when the transaction arrived
	Redacted   bool            // taken back by its sender before it ran
	Handled    bool            // its reply is out, nothing is left to do
	Answer     id.EventID      // status message that is edited as the work goes on; empty: none
}

// Undecodable is an event, or what was sent in place of one, that could not be read. It is kept for the operator.
type Undecodable struct {
	Transaction string
	Raw         []byte // at most the first 64 KiB
	Fault       string
	ReceivedAt  time.Time
}

// Status is the state of an invitation row.
type Status string

// The life of an invitation: open until an outcome is final.
const (
	StatusOpen      Status = "open"
	StatusDone      Status = "done"      // the homeserver accepted it, or the room shows it
	StatusRefused   Status = "refused"   // final; Code says why
	StatusCancelled Status = "cancelled" // the command was taken back
	StatusWaiting   Status = "waiting"   // it is not to be tried before a card is decided
)

// Change is an intended membership change and what became of it: the truth that delivery works from.
// It is unique by (Command, Action, Room, Target).
type Change struct {
	ID          int64
	Command     id.EventID // event that asked for it
	CommandRoom id.RoomID  // room that event stands in
	Action      room.ActionType
	Room        id.RoomID
	Via         []string // servers that know Room, for joins
	Target      id.UserID
	Actor       id.UserID // who asked
	Performer   id.UserID // who sends it: the actor or the bot
	Reason      string
	Status      Status
	Code        string    // reason code or errcode of a refusal, or of the last failure
	Detail      string    // one sentence for people, may be empty
	Attempt     int       // fences leases: a settlement names the attempt it claimed
	DueAt       time.Time // not before
	LeasedUntil time.Time // zero: nobody works on it
	CreatedAt   time.Time
	SettledAt   time.Time // zero while open
}

// AuditKind says of what an audit row tells.
type AuditKind string

// The kinds of audit rows.
const (
	AuditDecision AuditKind = "decision"
	AuditEffect   AuditKind = "effect" // a request to the homeserver, with its outcome
	AuditVote     AuditKind = "vote"   // a card was closed
)

// Verdicts of effects, besides Status.
const VerdictRetry = "retry"

// Audit is one append-only row: a decision or an effect.
type Audit struct {
	ID        int64
	At        time.Time
	Kind      AuditKind
	Action    room.ActionType
	Room      id.RoomID
	Actor     id.UserID
	Performer id.UserID
	Target    id.UserID
	Verdict   string     // allow, deny, unknown; for effects a Status or VerdictRetry
	Code      string     // reason code or errcode
	Policy    id.EventID // policy in force; empty: none
	Command   id.EventID
}

// Settlement ends one attempt at an invitation.
type Settlement struct {
	ID      int64
	Attempt int // as claimed; another attempt in between makes Settle return ErrFenced
	Status  Status
	Code    string
	Detail  string
	DueAt   time.Time // for Open: when to try again
	At      time.Time
	Audit   []Audit
	Refund  bool     // gives back what was spent of quotas for it
	Then    []Change // rows that follow from the outcome, recorded in the same commit as by Store.Record
}

// Store keeps what must survive. Every method is one commit, durable when it returns.
type Store interface {
	CardStore
	Ledger
	// Receive adds events to the inbox and returns those not seen before, with Seq set, in order. In the same commit the
	// ledger takes in the member events of the same transaction.
	Receive(ctx context.Context, events []Received, members ...MemberEvent) ([]Received, error)
	// Quarantine keeps what could not be decoded. The store bounds how much it keeps.
	Quarantine(ctx context.Context, bad []Undecodable) error
	// Redact marks an event as taken back, if sender is the sender that the inbox has, and reports whether it did.
	Redact(ctx context.Context, event id.EventID, sender id.UserID) (bool, error)
	// Redacted tells whether an inbox event was marked as taken back, and whether it is one of state, or ErrNotFound.
	Redacted(ctx context.Context, event id.EventID) (redacted, state bool, err error)
	// Received returns one inbox event, or ErrNotFound.
	Received(ctx context.Context, event id.EventID) (Received, error)
	// Answered returns the event that has a status message, or ErrNotFound.
	Answered(ctx context.Context, answer id.EventID) (Received, error)
	// SetAnswer remembers the status message of a command.
	SetAnswer(ctx context.Context, command, answer id.EventID) error
	// Handled ends an inbox event: its reply is out.
	Handled(ctx context.Context, event id.EventID) error
	// Record adds invitations and audit rows. Rows that exist already (same command, action, room, target) are left as
	// they are, and an audit row of kind "decision" is added only once for each (command, action, room, target). It
	// returns the rows as stored, in the order given. ErrSpent says that a charge was judged on what is past by now, and
	// nothing was recorded.
	Record(ctx context.Context, rows []Change, audit []Audit, charges ...Charge) ([]Change, error)
	// Spent returns what was spent in a room after a time.
	Spent(ctx context.Context, r id.RoomID, by SpentBy, since time.Time) (Spent, error)
	// Invitations returns the rows of one command, by ID.
	Invitations(ctx context.Context, command id.EventID) ([]Change, error)
	// Claim leases open rows whose leases are over and adds one to their attempts. It returns those, in the order given: not
	// what is settled or leased by somebody else.
	Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) ([]Change, error)
	// Settle ends claimed attempts, all in one commit, and releases their leases. ErrFenced names none of them settled.
	Settle(ctx context.Context, s ...Settlement) error
	// Release ends the attempts that are under way, for a start at which no other process can make one. Their leases last until
	// at, at the latest. It returns the rows whose leases it has shortened to that.
	Release(ctx context.Context, at time.Time) ([]int64, error)
	// Due returns up to limit open rows that are not leased and were due at or before now, oldest first.
	Due(ctx context.Context, now time.Time, limit int) ([]int64, error)
	// Clean deletes handled inbox events and quarantined ones older than before.
	Clean(ctx context.Context, before time.Time) error
	// Ping checks that the database can commit.
	Ping(ctx context.Context) error
}

// Effect is one membership change for the homeserver to make.
type Effect struct {
	Action    room.ActionType // Invite, Join, Leave, Kick, Ban or Unban
	Room      id.RoomID
	Via       []string
	Performer id.UserID // a local user by identity assertion, or the bot
	Target    id.UserID
	Reason    string
}

// Homeserver is the record: it shows state, and makes changes. All errors but ErrNoView and context errors are *ActError.
type Homeserver interface {
	// Snapshot returns what is known of a room, with at least needs in it, read as the bot where it is in the room, else
	// as viewer by identity assertion, else ErrNoView. fresh bypasses the cache.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Act makes one change, once, without retries of its own. A Snapshot after it shows no older state.
	Act(ctx context.Context, e Effect) error
	// Resolve looks an alias up.
	Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error)
	// Redacted tells whether an event has been redacted, as the homeserver knows it, read as in Snapshot.
	Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error)
	Records
}

// Clock tells the time.
type Clock interface{ Now() time.Time }

// Queue wakes delivery. A wake-up carries keys, not facts, and may come twice.
type Queue interface {
	// Wake asks for Deliver of each row at the given time or soon after.
	Wake(ctx context.Context, at time.Time, rows ...int64) error
}

// Outcome is how one attempt at a row ended.
type Outcome struct {
	Status  Status     // StatusOpen: another attempt at At. Empty: none was made, the row is settled or leased by another attempt
	At      time.Time  // for StatusOpen
	Code    string     // reason code or errcode
	Detail  string     // one sentence for people; may be empty
	Command id.EventID // command whose answer may want an update
	Policy  id.EventID // policy in force
	Quiet   bool       // nothing was sent, so that the audit gets no row of an effect
}
