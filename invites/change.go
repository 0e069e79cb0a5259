package invites

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Status is where a row stands.
type Status string

// The life of a row: open until its outcome is final.
const (
	StatusOpen      Status = "open"
	StatusDone      Status = "done"      // the homeserver accepted the change, or the room shows it
	StatusRefused   Status = "refused"   // final; Code says why
	StatusCancelled Status = "cancelled" // the command was taken back
	StatusWaiting   Status = "waiting"   // for a card: it is not tried before people have decided
)

// Origin says where a row came from. The table of origins in package delivery says how rows of each are carried out.
type Origin string

// The origins.
const (
	OriginCommand  Origin = "command"   // a message asked for it
	OriginCard     Origin = "card"      // people decided a knock: the voter is the actor
	OriginKnock    Origin = "knock"     // the room's policy admitted a knocking user
	OriginGuard    Origin = "guard"     // the guard removes an intruder or an invitation made past the bot
	OriginExpiry   Origin = "expiry"    // an invitation was not answered in time
	OriginTurned   Origin = "turned"    // somebody's standing has turned since the invitation
	OriginAutoJoin Origin = "auto_join" // the operator lets the invitee join at once
	OriginInbound  Origin = "inbound"   // the inviter was blocked since the invitation: the invitee declines it
	OriginLink     Origin = "link"      // the invitee used an invite link: its maker is the actor
	OriginNative   Origin = "native"    // the homeserver sends it for the actor's own client, and asked the bot before
	OriginAddress  Origin = "address"   // the same, of an address that nobody has on Matrix yet
	OriginPlan     Origin = "plan"      // a plan of the operator says who is in the room: its manager or the bot is the actor
	OriginAsked    Origin = "asked"     // the same, and people have to agree first: then the bot sends it
	OriginBulk     Origin = "bulk"      // a message asked for many people at once, and its sender confirmed it
	OriginSpace    Origin = "space"     // a message asked for it, for a space and its rooms
	OriginMove     Origin = "move"      // an open invitation of a room is made again in the room that replaces it
)

// Change is an intended membership change and its outcome: the row for delivery. It is unique by (Request, Action,
// Room, Target).
type Change struct {
	ID          int64
	Origin      Origin
	Request     string     // the id of the event behind it, as it was seen; else a key with a prefix, such as "expire:"
	Command     id.EventID // the event behind it: a command, a knock, or an event handled by the guard; empty: none
	CommandRoom id.RoomID  // room of the event Command
	Action      room.ActionType
	Room        id.RoomID
	Via         []string // servers in Room, for joins
	Target      id.UserID
	Actor       id.UserID // asks for it; power and policy are judged for the actor
	Performer   id.UserID // sends it: the actor or the bot
	Reason      string
	Status      Status
	Code        string      // reason code or errcode of a refusal, or of the last failure
	Detail      room.Phrase // for people; may be empty
	Attempt     int         // fences leases: a settlement names its attempt
	DueAt       time.Time   // not before
	LeasedUntil time.Time   // zero: no attempt is under way
	CreatedAt   time.Time
	SettledAt   time.Time // zero while open
}

// PlanRequest begins the Request of changes of a plan, before the key of its run and, after a space, the room.
const PlanRequest = "plan:"

// NativePrefix begins the Request of changes that the homeserver asked about, in place of an event's id.
const NativePrefix = "native:"

// AuditKind is the kind of an audit row.
type AuditKind string

// The kinds of audit rows.
const (
	AuditDecision AuditKind = "decision"
	AuditEffect   AuditKind = "effect" // a request to the homeserver, with its outcome
	AuditVote     AuditKind = "vote"   // a card was closed
)

// VerdictRetry is the verdict of an effect to be tried again.
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
	Request   string     // of the change, or the event behind it
}

// AuditQuery selects audit rows.
type AuditQuery struct {
	Room  id.RoomID
	User  id.UserID // as actor, performer or target; empty: anybody
	Since time.Time // zero: all
	After Place     // only rows older than the one at this place
}

// Settlement ends one attempt at an invitation.
type Settlement struct {
	ID      int64
	Attempt int // as claimed; another attempt in between makes Settle return ErrFenced
	Status  Status
	Code    string
	Detail  room.Phrase
	DueAt   time.Time // for Open: when to try again
	At      time.Time
	Audit   []Audit
	Refund  bool     // gives back the quotas charged for the row
	Then    []Change // rows following from the outcome, recorded in the same commit as by Store.Record
}

// Effect is one membership change for the homeserver to make.
type Effect struct {
	Action    room.ActionType // Invite, Join, Leave, Kick, Ban or Unban
	Room      id.RoomID
	Via       []string
	Performer id.UserID // a local user, by identity assertion, or the bot
	Target    id.UserID
	Actor     id.UserID   // asks for it; empty: the performer
	Reason    string      // a person's
	Because   room.Phrase // the bot's, where there is no Reason
	Language  string      // of Because
}

// Outcome is how one attempt at a row ended.
type Outcome struct {
	Status  Status      // StatusOpen: another attempt at At. Empty: none was made, the row is settled or leased by another attempt
	At      time.Time   // for StatusOpen
	Code    string      // reason code or errcode
	Detail  room.Phrase // for people; may be empty
	Command id.EventID  // command with an answer which may want an update
	Policy  id.EventID  // policy in force
	Quiet   bool        // nothing was sent, so the audit gets no row of an effect
}

// Codes of outcomes without a rule.
const (
	CodeDone     = "done"               // it took effect
	CodeGaveUp   = "gave_up"            // it failed until it was too old
	CodeRedacted = "redacted"           // the command was taken back
	CodeNoEffect = "no_effect"          // the homeserver said yes, but the room does not show it
	CodeStopped  = "token_refused"      // the homeserver refuses Usher's own token
	CodeAutoJoin = "join.auto"          // the invitee joins at once by their operator's configuration
	CodeLimited  = "M_LIMIT_EXCEEDED"   // open: the homeserver named a time to wait
	CodeTrouble  = "M_UNKNOWN"          // open: the homeserver has trouble of its own
	CodeServer   = "server.unreachable" // the homeserver can't reach the other server needed
	CodeQueued   = "invite.queued"      // the same invitation waits to be sent already
	CodeUnsent   = "withdraw.in_time"   // somebody took the invitation back before it was sent
	CodeTurn     = "limit.turn"         // open: other rows wait for the same limit before this one; nothing was sent
	CodePaused   = "bulk.paused"        // waiting: the request was paused
	CodeEnded    = "bulk.stopped"       // the request was stopped before this row was sent
)

// AuditOf makes the audit row of a change.
func AuditOf(row Change, kind AuditKind, verdict, code string, inForce id.EventID, at time.Time) Audit {
	return Audit{
		At: at, Kind: kind, Action: row.Action, Room: row.Room, Actor: row.Actor, Performer: row.Performer,
		Target: row.Target, Verdict: verdict, Code: code, Policy: inForce, Request: row.Request,
	}
}
