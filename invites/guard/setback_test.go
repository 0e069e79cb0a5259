package guard_test

import (
	"encoding/json"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/guard"
	"usher/policy"
	"usher/room"
)

// TestGuardSetBackDemotion: a set-back undoes no demotion that happens while the guard is at it, before it reads the state or after.
func TestGuardSetBackDemotion(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(map[bool]string{false: "before it is read", true: "after it is read"}[after], func(t *testing.T) {
			w := newWatch(t, `{"version":1,"guard":{"mode":"enforce","levels":{"kick":50}}}`)
			levels := func(by id.UserID, carols, kick int) {
				w.HS.Set(lobby, room.TypePowerLevels, "", by, object{"kick": kick, "invite": 50, "users": object{alice.String(): 100, bot.String(): 100, carol.String(): carols}})
			}
			levels(alice, 90, 50)
			demote := func() error {
				w.HS.BeforeState, w.crash = nil, nil
				levels(alice, 0, 10)
				return nil
			}
			if after {
				w.HS.BeforeState = demote
			} else {
				w.crash = func(guard.Report) error { return demote() }
			}
			levels(carol, 90, 10)
			if err := w.see(t, room.TypePowerLevels, ""); err != nil {
				t.Fatal(err)
			}
			snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
			if err != nil {
				t.Fatal(err)
			}
			power, _ := snap.Power(carol)
			if kick, _ := snap.NamedLevel("kick"); power != 0 || kick != 50 {
				t.Errorf("carol has %d, kick takes %d", power, kick)
			}
		})
	}
}

// TestGuardSetBackMeanwhile: what somebody else has put right, and what the policy does not want any more, is left as it is.
func TestGuardSetBackMeanwhile(t *testing.T) {
	for name, now := range map[string]func(w *watch){
		"put right": func(w *watch) {
			w.HS.Set(lobby, room.TypeJoinRules, "", alice, object{"join_rule": "invite", "by": "alice"})
		},
		"not wanted": func(w *watch) { w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(`{}`)) },
		"off": func(w *watch) {
			w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(`{"version":1,"guard":{"mode":"watch","join_rule":"invite"}}`))
		},
		"its author is demoted": func(w *watch) {
			w.HS.Set(lobby, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 0, string(bot): 100, string(carol): 50}})
		},
		"who changed it is promoted": func(w *watch) {
			w.HS.Set(lobby, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 200, string(bot): 100, string(carol): 150}})
		},
		"put right in the last moment": func(w *watch) {
			w.HS.BeforeState = func() error {
				w.HS.BeforeState = nil
				w.HS.Set(lobby, room.TypeJoinRules, "", alice, object{"join_rule": "invite", "by": "alice"})
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t, door)
			w.crash = func(guard.Report) error {
				now(w)
				return nil
			}
			if err := w.set(t, carol, "public"); err != nil {
				t.Fatal(err)
			}
			snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
			if err != nil {
				t.Fatal(err)
			}
			event, _ := snap.Event(room.Key{Type: room.TypeJoinRules})
			if rule, _ := snap.JoinRule(); rule == "invite" && string(event.Content) != `{"by":"alice","join_rule":"invite"}` || rule != "invite" && event.Sender != carol {
				t.Errorf("%s by %s", event.Content, event.Sender)
			}
		})
	}
}

// TestRedactedLevels: who redacts the power levels changes them. The guard sets them back, blames the redacting user, and stops after three rounds, also
// where the redacted event is its own set-back.
func TestRedactedLevels(t *testing.T) {
	w := newWatch(t, `{"version":1,"guard":{"mode":"enforce","levels":{"invite":50}}}`)
	levels := room.Key{Type: room.TypePowerLevels}
	rest := `{"users":{"@alice:here":100,"@usher:here":100,"@carol:here":50}}` // before room version 11, a redaction drops the level of invitations
	redact := func() {
		now, err := w.HS.CurrentEvent(t.Context(), lobby, "", levels)
		if err != nil {
			t.Fatal(err)
		}
		w.HS.RedactState(lobby, levels, now.ID, carol, rest)
		if err := w.guard.Handle(t.Context(), invites.Received{Event: "$redaction", Room: lobby, Sender: carol, Type: room.TypeRedaction}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 5 {
		redact()
		snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
		if err != nil {
			t.Fatal(err)
		}
		invite, ok := snap.NamedLevel("invite")
		if want := round < 3; ok && invite == 50 != want {
			t.Errorf("round %d: invite takes %d", round+1, invite)
		}
	}
	want := []string{"drift enforce @carol:here  acts:true calls:0", "drift enforce @carol:here  acts:true calls:0", "drift enforce @carol:here  acts:true calls:0",
		"drift stops @carol:here guard.stopped acts:false calls:2"}
	if !slices.Equal(w.told, want) {
		t.Errorf("told %q", w.told)
	}
}
