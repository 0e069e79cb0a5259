package commands

import (
	"strings"
	"time"

	"usher/invites/guard"
	"usher/policy"
	"usher/room"
)

// GuardNotice words a report of a room's guard, for the room.
func (n Notices) GuardNotice(r guard.Report) Reply {
	reply := Reply{Call: r.Call, Aloud: len(r.Call) > 0}
	t := &reply.Text
	switch r.Kind {
	case guard.ReportDrift:
		n.drift(t, r)
	case guard.ReportIntruder:
		t.Say("guard.intruder", "target", r.Target, "at", moment(r.At))
		n.done(t, r, room.Say("guard.acts.intruder"))
	case guard.ReportByHand:
		t.Tell(room.Say("guard.by_hand", "who", r.Who, "target", r.Target, "at", moment(r.At)).Holding(r.Because))
		if r.Late {
			t.Say("guard.late")
		}
		n.done(t, r, room.Say("guard.acts.by_hand"))
	}
	return reply
}

// moment is when an event was sent, by its server's clock; empty where it is not known.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// drift words a change of the room, and the guard's reaction.
func (n Notices) drift(t *Text, r guard.Report) {
	var changed []room.Phrase
	for _, what := range r.What {
		if level, ok := strings.CutPrefix(what.Path, "guard.levels."); ok {
			changed = append(changed, room.Say("guard.level", "level", level, "found", what.Found, "wanted", what.Wanted))
		} else {
			changed = append(changed, room.Say("guard.join_rule", "found", what.Found, "wanted", what.Wanted))
		}
	}
	t.Tell(room.Say("guard.drift", "who", r.Who, "at", moment(r.At)).Holding(changed...))
	if r.Code == string(policy.CodeGuardStopped) {
		t.Say("guard.stopped", "window", policy.Span(r.Window), "prefix", n.Prefix).Reason(r.Code)
		return
	}
	n.done(t, r, room.Say("guard.acts.drift"))
}

// done words the guard's action, or the reason for none.
func (n Notices) done(t *Text, r guard.Report, acts room.Phrase) {
	switch room.Rule(r.Code) {
	case policy.CodeGuardBrake:
		if r.Window == 0 {
			t.Say("guard.brake.most", "prefix", n.Prefix)
			break
		}
		t.Say("guard.brake", "window", policy.Span(r.Window), "prefix", n.Prefix)
	case policy.CodeGuardAbove:
		t.Say("guard.above")
	case policy.CodeGuardPower:
		t.Say("guard.power", "rule", r.Rule)
	case policy.CodeGuardAuthor:
		t.Say("guard.author")
	case policy.CodeGuardContent:
		t.Say("guard.content")
	case "":
	default:
		if r.Kind == guard.ReportDrift {
			t.Tell(room.Say("guard.failed").Holding(r.Because))
		}
	}
	if r.Acts {
		t.Tell(acts)
	}
	if r.Code != "" {
		t.Reason(r.Code)
	}
}
