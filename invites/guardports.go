package invites

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Round is one time that a drift was set back.
type Round struct {
	Event id.EventID `json:"event"` // that made the drift
	At    time.Time  `json:"at"`
}

// Watch is what is remembered of a guarded room.
type Watch struct {
	Room    id.RoomID
	Policy  string   // names the policy events that the rounds were fought under
	Rounds  []Round  // within the window, oldest first
	Stopped bool     // too many rounds: nothing is set back until the policy changes
	Told    []string // reports on what was left as it was, so that each is told once
}

// Guards is the part of Store that remembers guarded rooms.
type Guards interface {
	// Guarded lists the rooms that are guarded.
	Guarded(ctx context.Context) ([]id.RoomID, error)
	// Watch returns what is remembered of a room, or ErrNotFound where it is not guarded.
	Watch(ctx context.Context, r id.RoomID) (Watch, error)
	// SetWatch remembers it.
	SetWatch(ctx context.Context, w Watch) error
	// EndWatch forgets a room.
	EndWatch(ctx context.Context, r id.RoomID) error
}

// ReportKind says what a guard reports.
type ReportKind string

// The kinds of reports.
const (
	ReportDrift    ReportKind = "drift"
	ReportIntruder ReportKind = "intruder"
	ReportByHand   ReportKind = "by_hand"
)

// Report is what a guard has seen, and what it does about it. It may be told again, with the same Event and Part, after a
// crash.
type Report struct {
	Kind    ReportKind
	Part    string     // tells reports on one event apart
	Event   id.EventID // that it is about; empty where a state event is missing
	Who     id.UserID  // whoever made that event
	Target  id.UserID  // intruder or invitee
	Key     room.Key   // of a drift
	What    []policy.Difference
	At      time.Time     // when the event was sent, as its server says; zero: not known
	Acts    bool          // it is set back, kicked or withdrawn
	Code    string        // why not, or why an invitation is refused; empty: only watching
	Because string        // the same for people, or what the policy has against an invitation; may be empty
	Rule    string        // for CodeGuardPower: the rule that the bot fails by
	Late    bool          // an invitation was accepted before anything could be done about it
	Call    []id.UserID   // people to call for help
	Window  time.Duration // for CodeGuardStopped
}
