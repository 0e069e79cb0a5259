package guard

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// ReportKind is the kind of a guard's report.
type ReportKind string

// The kinds of reports.
const (
	ReportDrift    ReportKind = "drift"
	ReportIntruder ReportKind = "intruder"
	ReportByHand   ReportKind = "by_hand"
)

// Report is a finding of a guard, with its reaction. It may be told again, with the same Event and Part, after a crash.
type Report struct {
	Kind    ReportKind
	Part    string     // tells reports on one event apart
	Event   id.EventID // the report is about it; empty where a state event is missing
	Who     id.UserID  // sender of the event
	Target  id.UserID  // intruder or invitee
	Key     room.Key   // of a drift
	What    []policy.Difference
	At      time.Time     // when the event was sent, as its server says; zero: not known
	Acts    bool          // it is set back, kicked or withdrawn
	Code    string        // why not, or why an invitation is refused; empty: only watching
	Because room.Phrase   // the same for people, or the objection of the policy to an invitation; may be empty
	Rule    string        // for CodeGuardPower: the rule against the bot
	Late    bool          // an invitation was accepted before it could be withdrawn
	Call    []id.UserID   // people to call for help
	Window  time.Duration // for CodeGuardStopped
}
