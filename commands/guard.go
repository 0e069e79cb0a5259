package commands

import (
	"strings"
	"time"

	"maunium.net/go/mautrix/event"

	"usher/invites/guard"
	"usher/policy"
	"usher/room"
)

// GuardNotice words what a room's guard reports, for the room.
func (d *Runner) GuardNotice(r guard.Report) *event.MessageEventContent {
	var reply Reply
	t := &reply.Text
	switch r.Kind {
	case guard.ReportDrift:
		d.drift(t, r)
	case guard.ReportIntruder:
		t.Code(string(r.Target)).Say(" joined without an invitation").Say(at(r.At)).Say(", while the door stood open.")
		done(t, r, " I am removing them.")
	case guard.ReportByHand:
		t.Code(string(r.Who)).Say(" invited ").Code(string(r.Target)).Say(" past me").Say(at(r.At)).
			Say(", and the room's policy is against it: " + strings.TrimSuffix(told(r.Because), ".") + ".")
		if r.Late {
			t.Say(" They have joined by now, so I leave it.")
		}
		done(t, r, " I am withdrawing the invitation.")
	}
	notice := reply.Notice(Message{})
	notice.Mentions.UserIDs = r.Call
	return notice
}

// at words when an event was sent, by its server's clock.
func at(when time.Time) string {
	if when.IsZero() {
		return ""
	}
	return when.UTC().Format(" at 15:04 UTC on 2 January")
}

// drift words what changed, and what is done about it.
func (d *Runner) drift(t *Text, r guard.Report) {
	if r.Who == "" {
		t.Say("The room is not as its policy says: ")
	} else {
		t.Code(string(r.Who)).Say(" changed what the room's policy keeps").Say(at(r.At)).Say(": ")
	}
	for i, what := range r.What {
		if i > 0 {
			t.Say(", ")
		}
		name := "the join rule"
		if level, ok := strings.CutPrefix(what.Path, "guard.levels."); ok {
			name = "the power level for “" + level + "”"
		}
		t.Say(name + " is ").Code(what.Found).Say(" and should be ").Code(what.Wanted)
	}
	t.Say(".")
	if r.Code == string(policy.CodeGuardStopped) {
		t.Sayf(" I have set it back several times within %s, and fight no more until somebody changes the policy (", policy.Span(r.Window)).
			Code(d.Prefix + "policy").Say(").").Reason(r.Code)
		return
	}
	done(t, r, " I am setting it back.")
}

// done says what is done, or why nothing is.
func done(t *Text, r guard.Report, acts string) {
	switch room.Rule(r.Code) {
	case policy.CodeGuardAbove:
		t.Say(" They have more power than I have, so I leave it.")
	case policy.CodeGuardPower:
		t.Say(" I lack the power to do anything about it (").Code(r.Rule).Say(").")
	case policy.CodeGuardAuthor:
		t.Say(" I leave it: the policy's author may not do that by themselves, and I lend nobody power. Somebody who may should write the policy anew.")
	case policy.CodeGuardContent:
		t.Say(" I can't set it back: the room has no such event that I could mend.")
	case "":
	default:
		if r.Kind == guard.ReportDrift {
			t.Say(" I could not set it back: " + told(r.Because) + ".")
		}
	}
	if r.Acts {
		t.Say(acts)
	}
	if r.Code != "" {
		t.Reason(r.Code)
	}
}
