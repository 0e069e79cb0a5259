package commands

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
)

// TestUndo: the last invitation, or the last change of the policy, by the same person in the room is taken back, by their own rights.
func TestUndo(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []string // said by alice, the last one by who
		who    id.UserID
		undo   string
		want   string // part of the answer; empty: ✅ alone
		bob    string // bob's membership afterwards
	}{
		{"nothing", nil, alice, "!undo", "I know nothing of yours here", "leave"},
		{"an invitation", []string{"!invite @bob"}, alice, "!undo", "", "leave"},
		{"of two people", []string{"!invite @bob @dora"}, alice, "!undo", "", "leave"},
		{"a dry run", []string{"!invite @bob"}, alice, "!undo --dry-run", "✅ @bob:here: Allowed", "invite"},
		{"somebody else's", []string{"!invite @bob"}, carol, "!undo", "I know nothing of yours here", "invite"},
		{"a policy", []string{"!invite @bob", "!policy set whom.max_members 5"}, alice, "!undo", "is taken back: no whom.max_members.", "invite"},
		{"a policy in a dry run", []string{"!policy set whom.max_members 5"}, alice, "!undo --dry-run", "That would be: no whom.max_members.", "leave"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			hs.Clock = d.Clock
			for _, text := range tt.before {
				if _, reply := say(t, d, lobby, alice, text); reply.React != "✅" {
					t.Fatalf("%s: %q", text, reply.Text.String())
				}
			}
			_, reply := say(t, d, lobby, tt.who, tt.undo)
			if got := reply.Text.String(); !strings.Contains(got, tt.want) || tt.want == "" && (got != "" || reply.React != "✅") {
				t.Errorf("%q %q, want %q", got, reply.React, tt.want)
			}
			snap, err := hs.Snapshot(t.Context(), lobby, alice, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if membership, _ := snap.Membership(bob); membership != tt.bob {
				t.Errorf("bob is %q, want %q", membership, tt.bob)
			}
		})
	}
}

// TestUndoWithoutPower: who may not withdraw may not undo either.
func TestUndoWithoutPower(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100}})
	say(t, d, lobby, carol, "!invite @bob")
	if _, reply := say(t, d, lobby, carol, "!undo"); !strings.Contains(reply.Text.String(), "it needs power level 50 here, and you have 0") {
		t.Errorf("%q", reply.Text.String())
	}
	hs.Before = func(invites.Effect) error { return &invites.ActError{Class: invites.ClassFailed, Status: 502} }
	say(t, d, lobby, carol, "!invite @dora")
	if _, reply := say(t, d, lobby, carol, "!undo "); reply.React != "✅" {
		t.Errorf("one that waits: %q", reply.Text.String())
	}
}

// TestRevert: !policy revert takes back the last change of the policy, by whomever, for people who may write the policy; a second one takes
// back the first.
func TestRevert(t *testing.T) {
	d, hs := newRunner(t)
	hs.Clock = d.Clock
	for _, step := range []struct {
		who       id.UserID
		text, has string
	}{
		{alice, "!policy revert", "never had a policy"},
		{alice, "!policy set whom.max_members 5", ""},
		{alice, "!policy set whom.max_members 7", ""},
		{carol, "!policy revert", "policy.edit.power"},
		{alice, "!policy", "7"},
		{alice, "!policy revert", "whom.max_members"},
		{alice, "!policy", "5"},
		{alice, "!policy revert", "whom.max_members"},
		{alice, "!policy", "7"},
	} {
		if _, reply := say(t, d, lobby, step.who, step.text); !strings.Contains(reply.Text.String(), step.has) {
			t.Errorf("%s: %q, want %q", step.text, reply.Text.String(), step.has)
		}
	}
}

// TestRevertRearms: a revert puts nothing into effect, without being asked, that its author may not do any more.
func TestRevertRearms(t *testing.T) {
	d, hs := newRunner(t)
	hs.Clock = d.Clock
	levels := func(carols int) {
		hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 60, "users": map[string]any{string(alice): 100, string(carol): carols, "@usher:here": 100}})
	}
	levels(60)
	say(t, d, lobby, carol, "!policy set delegate true")
	say(t, d, lobby, alice, "!policy reset")
	levels(50)
	_, reply := say(t, d, lobby, alice, "!policy revert")
	if source, err := d.Judge.Policies.Own(t.Context(), lobby, alice); err != nil || source.Layer.Has("delegate") || !strings.Contains(reply.Text.String(), "delegate") {
		t.Errorf("%q, then %+v %v", reply.Text.String(), source, err)
	}
}

// TestRevertRedacted: after somebody without the power to set a policy redacted it, !policy says so, and !policy revert brings back the last version that
// can be read, however many were redacted. It never takes a redacted version for an empty policy.
func TestRevertRedacted(t *testing.T) {
	for name, c := range map[string]struct {
		set    []string // values of whom.max_members, in turn
		redact []int    // which of the events
		by     id.UserID
		want   string // part of the answer to !policy revert
		then   string // part of !policy afterwards
	}{
		"the last one":       {[]string{"5", "7"}, []int{1}, carol, "since @carol:here removed the later one: whom.max_members = 5", "5 members"},
		"the last two":       {[]string{"5", "6", "7"}, []int{1, 2}, carol, "whom.max_members = 5", "5 members"},
		"all":                {[]string{"5", "6"}, []int{0, 1}, carol, "I can't read an earlier version", "@carol:here removed its event"},
		"the only one":       {[]string{"5"}, []int{0}, carol, "I can't read an earlier version", "@carol:here removed its event"},
		"an earlier one":     {[]string{"5", "6"}, []int{0}, carol, "I can't read an earlier version", "6 members"},
		"one's own, now":     {[]string{"5", "6"}, []int{1}, "", "whom.max_members = 5", "5 members"},
		"one's own, earlier": {[]string{"5", "6"}, []int{0}, "", "I can't read an earlier version", "6 members"},
	} {
		t.Run(name, func(t *testing.T) {
			d, hs := newRunner(t)
			hs.Clock = d.Clock
			var events []invites.StateEvent
			for _, value := range c.set {
				say(t, d, lobby, alice, "!policy set whom.max_members "+value)
				e, err := hs.CurrentEvent(t.Context(), lobby, alice, policy.Key())
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, e)
			}
			for _, i := range c.redact {
				hs.RedactState(lobby, policy.Key(), events[i].ID, cmp.Or(c.by, events[i].Sender), "{}")
			}
			if _, reply := say(t, d, lobby, alice, "!policy"); c.by != "" && slices.Contains(c.redact, len(c.set)-1) && !strings.Contains(reply.Text.String(), "@carol:here removed its event. Somebody who may set the policy says !policy revert") {
				t.Errorf("!policy: %q", reply.Text.String())
			}
			if _, reply := say(t, d, lobby, alice, "!policy revert"); !strings.Contains(reply.Text.String(), c.want) {
				t.Errorf("!policy revert: %q, want %q", reply.Text.String(), c.want)
			}
			if _, reply := say(t, d, lobby, alice, "!policy"); !strings.Contains(reply.Text.String(), c.then) {
				t.Errorf("!policy: %q, want %q", reply.Text.String(), c.then)
			}
			if _, reply := say(t, d, lobby, alice, "!policy history"); c.by != "" && !strings.Contains(reply.Text.String(), "removed by @carol:here") {
				t.Errorf("!policy history: %q", reply.Text.String())
			}
		})
	}
}

// TestPowerless: a preset that has the bot invite for people warns at once where the bot lacks the power, and says a rate once.
func TestPowerless(t *testing.T) {
	for preset, warns := range map[string]bool{"open": true, "members": true, "moderated": true, "closed": false} {
		for _, level := range []int{0, 50} {
			d, hs := newRunner(t)
			hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "users": map[string]any{string(alice): 100, "@usher:here": level}})
			_, reply := say(t, d, lobby, alice, "!policy preset "+preset)
			if warned := strings.Contains(reply.Text.String(), "⚠️"); reply.React != "✅" || warned != (warns && level == 0) {
				t.Errorf("%s, the bot with power %d: %s %q", preset, level, reply.React, reply.Text.String())
			}
			if _, reply := say(t, d, lobby, alice, "!policy"); strings.Count(reply.Text.String(), "invitations within") > 1 {
				t.Errorf("%s: %q", preset, reply.Text.String())
			}
		}
	}
}
