package requests_test

import (
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites/requests"
	"usher/policy"
)

func TestWritePolicy(t *testing.T) {
	layer, err := policy.Layer{}.With("delegate", "true")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		assert bool
		bots   int
		actor  id.UserID
		by     id.UserID
		code   string
	}{
		{"as the caller", true, 0, alice, alice, ""},
		{"as the bot", false, 50, alice, bot, ""},
		{"as the bot, for somebody of another server", true, 50, remote, bot, ""},
		{"the bot lacks the power", false, 0, alice, "", requests.CodeEditBot},
		{"the caller lacks the power, whatever the bot has", false, 100, carol, "", requests.CodeEditPower},
		{"the caller lacks the power as themselves", true, 100, carol, "", requests.CodeEditPower},
		{"not in the room", true, 100, bob, "", requests.CodeEditView},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.In.Self.Assert = tt.assert
			w.Build()
			w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(remote): 50, string(bot): tt.bots}})
			by, err := w.Editor.Write(t.Context(), "$cmd", lobby, tt.actor, layer)
			var refusal requests.Refusal
			errors.As(err, &refusal)
			if by != tt.by || refusal.Code != tt.code || (err != nil && tt.code == "") {
				t.Fatalf("by %q, %v", by, err)
			}
			if tt.code != "" {
				return
			}
			history, err := w.Editor.History(t.Context(), lobby, tt.actor, 5)
			if err != nil || len(history) != 1 || history[0].By != tt.by || tt.by == bot && history[0].For != tt.actor || tt.by != bot && history[0].For != "" || !history[0].After.Has("delegate") {
				t.Errorf("history: %+v %v", history, err)
			}
			if audit, err := w.DB.Audit(t.Context(), "$cmd"); err != nil || len(audit) != 1 || audit[0].Actor != tt.actor || audit[0].Performer != tt.by {
				t.Errorf("audit: %+v %v", audit, err)
			}
		})
	}
}
