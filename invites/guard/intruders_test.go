package guard_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/guard"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

func TestGuardIntruder(t *testing.T) {
	for _, tt := range []struct {
		name, before, document string
		told, after            string
	}{
		{"uninvited", "", door, "intruder intruder @bob:here @bob:here acts:true calls:0", "leave"},
		{"after a knock", "knock", door, "intruder intruder @bob:here @bob:here acts:true calls:0", "leave"},
		{"invited", "invite", door, "", "join"},
		{"a new name", "join", door, "", "join"},
		{"reported", "", strings.Replace(door, "kick", "report", 1), "intruder intruder @bob:here @bob:here acts:false calls:0", "join"},
		{"ignored", "", strings.Replace(door, "kick", "ignore", 1), "", "join"},
		{"through an open door", "", strings.Replace(door, "invite", "public", 1), "", "join"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatch(t, tt.document)
			if w.told = nil; tt.before != "" {
				w.HS.Member(lobby, bob, tt.before)
			}
			w.HS.Member(lobby, bob, "join")
			if err := w.see(t, "m.room.member", bob.String()); err != nil {
				t.Fatal(err)
			}
			w.tell(t, bob, tt.told, tt.after)
		})
	}
}

// TestGuardIntruderLent: the bot puts nobody out for an author of the policy who could not do it themselves, neither at once nor after a wait.
func TestGuardIntruderLent(t *testing.T) {
	for _, tt := range []struct {
		name string
		when int // the author loses the power: 0 before the join, 1 while the kick waits
		told string
	}{
		{"before", 0, "intruder intruder @bob:here @bob:hereguard.author acts:false calls:0"},
		{"while it waits", 1, "intruder intruder @bob:here @bob:here acts:true calls:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatch(t, door)
			demote := func() {
				w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"kick": 50, "events": object{policy.EventType: 25}, "users": object{string(alice): 25, string(bot): 100}})
			}
			if tt.when == 0 {
				demote()
			}
			w.HS.Before = func(invites.Effect) error {
				return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("down")}
			}
			w.told = nil
			w.HS.Member(lobby, bob, "join")
			if err := w.see(t, "m.room.member", bob.String()); err != nil {
				t.Fatal(err)
			}
			w.HS.Before = nil
			waiting := w.Queue.Take()
			if len(waiting) != tt.when {
				t.Fatalf("%d kicks wait", len(waiting))
			}
			for _, one := range waiting {
				demote()
				w.Clock.Advance(time.Minute)
				if outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), one.Row)); err != nil || outcome.Code != "guard.over" {
					t.Errorf("%+v %v", outcome, err)
				}
			}
			w.tell(t, bob, tt.told, "join")
		})
	}
}

// TestGuardVouched: who claims that a member's server let them in is believed only where that can be so.
func TestGuardVouched(t *testing.T) {
	restricted := strings.Replace(door, `"join_rule":"invite"`, `"join_rule":"restricted"`, 1)
	const told = "intruder intruder @bob:here @bob:here acts:true calls:0"
	for _, tt := range []struct {
		name, rule, by string
		later          string // rule that is set before the guard gets to it
		told           string
	}{
		{"by a member who may invite", "restricted", alice.String(), "", ""},
		{"by a stranger", "restricted", "@nobody:evil.example", "", told},
		{"by a member who may not invite", "restricted", dora.String(), "", told},
		{"by nobody", "restricted", "", "", told},
		{"while the door stood open", "public", alice.String(), "", told},
		{"while the door stood open, and was set back since", "public", alice.String(), "restricted", told},
		{"by a restricted rule that was changed since", "restricted", alice.String(), "knock_restricted", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatch(t, restricted)
			w.Give(map[string]any{alice.String(): 100, bot.String(): 100})
			w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"invite": 50, "users": object{alice.String(): 100, bot.String(): 100}})
			w.HS.Member(lobby, dora, "join")
			w.HS.Set(lobby, "m.room.join_rules", "", alice, object{"join_rule": tt.rule})
			w.Clock.Advance(time.Second)
			w.told = nil
			content := object{"membership": "join"}
			if tt.by != "" {
				content["join_authorised_via_users_server"] = tt.by
			}
			w.HS.Set(lobby, "m.room.member", bob.String(), bob, content)
			ev := w.event(t, "m.room.member", bob.String())
			if tt.later != "" {
				w.Clock.Advance(time.Second)
				w.HS.Set(lobby, "m.room.join_rules", "", bot, object{"join_rule": tt.later})
			}
			if err := w.guard.Handle(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
			w.tell(t, bob, tt.told, map[bool]string{true: "join", false: "leave"}[tt.told == ""])
		})
	}
}

// TestGuardReadsExactKeys: a homeserver passes on keys that it does not know, and Go's JSON takes "CONTENT" for "content".
func TestGuardReadsExactKeys(t *testing.T) {
	restricted := strings.Replace(door, `"join_rule":"invite"`, `"join_rule":"restricted"`, 1)
	for _, raw := range []string{
		`{"content":{"membership":"join"},"CONTENT":{"membership":"leave"}}`,
		`{"CONTENT":{"join_authorised_via_users_server":"@alice:here"},"content":{"membership":"join"}}`,
		`{"content":{"membership":"join"},"Content":5}`,
	} {
		w := newWatch(t, restricted)
		w.told = nil
		w.HS.Member(lobby, bob, "join")
		ev := w.event(t, "m.room.member", bob.String())
		ev.Raw = json.RawMessage(raw)
		if err := w.guard.Handle(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		if len(w.told) != 1 {
			t.Errorf("%s: told %q", raw, w.told)
		}
	}
}

// tell checks what was told and what became of somebody.
func (w *watch) tell(t *testing.T, user id.UserID, told, membership string) {
	t.Helper()
	if told == "" {
		w.expect(t)
	} else {
		w.expect(t, told)
	}
	snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if now, _ := snap.Membership(user); err != nil || now != membership {
		t.Errorf("%s is %q, want %q (%v)", user, now, membership, err)
	}
}

// TestGuardOver: a kick that waits is not carried out once the policy does not want it any more.
func TestGuardOver(t *testing.T) {
	for name, now := range map[string]string{
		"reported only":   strings.Replace(door, "kick", "report", 1),
		"welcome by now":  strings.Replace(door, `"join_rule":"invite"`, `"join_rule":"public"`, 1),
		"no guard at all": `{"version":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t, door)
			w.HS.Before = func(invites.Effect) error {
				return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("down")}
			}
			w.HS.Member(lobby, bob, "join")
			if err := w.see(t, "m.room.member", bob.String()); err != nil {
				t.Fatal(err)
			}
			w.HS.Before, w.told = nil, nil
			w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(now))
			w.Clock.Advance(time.Minute)
			outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), w.Queue.Take()[0].Row))
			if err != nil || outcome.Code != "guard.over" {
				t.Errorf("%+v %v", outcome, err)
			}
			w.tell(t, bob, "", "join")
		})
	}
}

// TestGuardKept: a removal waits while the homeserver keeps back a piece of state that decides on it.
func TestGuardKept(t *testing.T) {
	for _, kept := range []room.Key{policy.Key(), room.MemberKey(bob)} {
		w := newWatch(t, door)
		w.HS.Before = func(invites.Effect) error {
			return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("down")}
		}
		w.HS.Member(lobby, bob, "join")
		if err := w.see(t, "m.room.member", bob.String()); err != nil {
			t.Fatal(err)
		}
		w.HS.Before, w.HS.Kept = nil, []room.Key{kept}
		row := w.Queue.Take()[0].Row
		for _, want := range []invites.Status{invites.StatusOpen, invites.StatusDone} {
			w.Clock.Advance(time.Hour / 2)
			if outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), row)); err != nil || outcome.Status != want {
				t.Errorf("%v: %+v %v", kept, outcome, err)
			}
			w.HS.Kept = nil
		}
	}
}

// TestGuardOverInvited: whoever came in uninvited, left and was invited is not put out by a kick that waited.
func TestGuardOverInvited(t *testing.T) {
	w := newWatch(t, door)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("down")}
	}
	w.HS.Member(lobby, bob, "join")
	if err := w.see(t, "m.room.member", bob.String()); err != nil {
		t.Fatal(err)
	}
	w.HS.Before, w.told = nil, nil
	w.HS.Set(lobby, "m.room.member", bob.String(), alice, map[string]any{"membership": "invite"})
	w.Clock.Advance(time.Minute)
	if outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), w.Queue.Take()[0].Row)); err != nil || outcome.Code != "guard.over" {
		t.Errorf("%+v %v", outcome, err)
	}
	w.tell(t, bob, "", "invite")
}

// TestGuardIntruderCannotHide: taking one's own join event back does not call the kick off, and a crash before it does not either.
func TestGuardIntruderCannotHide(t *testing.T) {
	w := newWatch(t, door)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("down")}
	}
	w.HS.Member(lobby, bob, "join")
	if err := w.see(t, "m.room.member", bob.String()); err != nil {
		t.Fatal(err)
	}
	snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	event, _ := snap.Event(room.MemberKey(bob))
	w.HS.Redact(event.ID)
	if _, err := w.DB.Redact(t.Context(), event.ID, bob); err != nil {
		t.Fatal(err)
	}
	w.HS.Before = nil
	wakes := w.Queue.Take()
	if len(wakes) != 1 {
		t.Fatalf("%+v", wakes)
	}
	w.Clock.Advance(time.Minute)
	if _, err := invitestest.One(w.Delivery.Deliver(t.Context(), wakes[0].Row)); err != nil {
		t.Fatal(err)
	}
	w.tell(t, bob, "intruder intruder @bob:here @bob:here acts:true calls:0", "leave")
}

func TestGuardByHand(t *testing.T) {
	for _, tt := range []struct {
		name        string
		by, target  id.UserID
		document    string
		told, after string
	}{
		{"against the policy", carol, "@rob:elsewhere", door, "by_hand by_hand @carol:here @rob:elsewherepolicy.whom.user_denied acts:true calls:0", "leave"},
		{"within the policy", carol, bob, door, "", "invite"},
		{"by the bot", bot, "@rob:elsewhere", door, "", "invite"},
		{"without approval", carol, bob, strings.Replace(door, `"whom"`, `"approval":{"required":true},"whom"`, 1),
			"by_hand by_hand @carol:here @bob:herepolicy.approval.required acts:true calls:0", "leave"},
		{"reported", carol, "@rob:elsewhere", strings.Replace(door, "withdraw", "report", 1),
			"by_hand by_hand @carol:here @rob:elsewherepolicy.whom.user_denied acts:false calls:0", "invite"},
		{"ignored", carol, "@rob:elsewhere", strings.Replace(door, "withdraw", "ignore", 1), "", "invite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatch(t, tt.document)
			w.HS.Set(lobby, "m.room.member", tt.target.String(), tt.by, map[string]any{"membership": "invite"})
			if err := w.see(t, "m.room.member", tt.target.String()); err != nil {
				t.Fatal(err)
			}
			w.tell(t, tt.target, tt.told, tt.after)
		})
	}
	t.Run("accepted at once", func(t *testing.T) {
		w := newWatch(t, strings.Replace(door, `"whom":{`, `"whom":{"max_members":4,`, 1))
		for _, target := range []id.UserID{"@rob:elsewhere", bob} { // one against the policy, and one who makes the room full
			w.HS.Set(lobby, "m.room.member", target.String(), carol, map[string]any{"membership": "invite"})
			invite := w.event(t, "m.room.member", target.String())
			w.HS.Member(lobby, target, "join")
			if err := w.guard.Handle(t.Context(), invite); err != nil {
				t.Fatal(err)
			}
		}
		w.tell(t, "@rob:elsewhere", "by_hand by_hand @carol:here @rob:elsewherepolicy.whom.user_denied acts:false calls:0 late", "join")
	})
	t.Run("accepted before it could be withdrawn", func(t *testing.T) {
		w := newWatch(t, door)
		w.HS.Before = func(invites.Effect) error {
			return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("down")}
		}
		rob := id.UserID("@rob:elsewhere")
		w.HS.Set(lobby, "m.room.member", rob.String(), carol, map[string]any{"membership": "invite"})
		if err := w.see(t, "m.room.member", rob.String()); err != nil {
			t.Fatal(err)
		}
		w.HS.Before = nil
		w.HS.Member(lobby, rob, "join")
		w.Clock.Advance(time.Minute)
		outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), w.Queue.Take()[0].Row))
		if err != nil || outcome.Code != "guard.over" {
			t.Errorf("whoever was invited is no intruder: %+v %v", outcome, err)
		}
		w.tell(t, rob, "by_hand by_hand @carol:here @rob:elsewherepolicy.whom.user_denied acts:true calls:0", "join")
	})
	t.Run("no power to withdraw", func(t *testing.T) {
		w := newWatch(t, door)
		w.Give(map[string]any{alice.String(): 100, bot.String(): 40, carol.String(): 50})
		w.HS.Set(lobby, "m.room.member", "@rob:elsewhere", carol, map[string]any{"membership": "invite"})
		var got guard.Report
		w.crash = func(r guard.Report) error { got = r; return nil }
		if err := w.see(t, "m.room.member", "@rob:elsewhere"); err != nil {
			t.Fatal(err)
		}
		if got.Code != "guard.power" || got.Rule != "kick.power" || got.Because.Key != "why.policy.whom.user_denied" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("through the bot, though it spent the quota", func(t *testing.T) {
		w := newWatch(t, strings.Replace(door, `"whom"`, `"quota":{"person":{"count":1}},"whom"`, 1))
		w.MustAsk(t, w.Request(t, carol, bob))
		if err := w.see(t, "m.room.member", bob.String()); err != nil {
			t.Fatal(err)
		}
		w.tell(t, bob, "", "invite")
		other := id.UserID("@other:here")
		w.HS.Set(lobby, "m.room.member", other.String(), carol, map[string]any{"membership": "invite"})
		if err := w.see(t, "m.room.member", other.String()); err != nil {
			t.Fatal(err)
		}
		w.tell(t, other, "by_hand by_hand @carol:here @other:herepolicy.quota.person acts:true calls:0", "leave")
	})
}
