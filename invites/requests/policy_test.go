package requests_test

import (
	"cmp"
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
			by, err := w.Editor.Write(t.Context(), requests.Edit{Command: "$cmd", Room: lobby, Actor: tt.actor, Layer: layer})
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
			if source, err := w.Judge.Policies.Own(t.Context(), lobby, tt.actor); err != nil || source.Person(bot) != tt.actor || (source.For != "") != (tt.by == bot) {
				t.Errorf("its author is %+v %v", source, err)
			}
			if audit, err := w.DB.Audit(t.Context(), "$cmd"); err != nil || len(audit) != 1 || audit[0].Actor != tt.actor || audit[0].Performer != tt.by {
				t.Errorf("audit: %+v %v", audit, err)
			}
		})
	}
}

// TestWritePolicyOfOthers: whoever writes one field does not put into effect, without knowing, what somebody weaker wrote in the others, in
// this room or in the room that the policy is copied from.
func TestWritePolicyOfOthers(t *testing.T) {
	layer := func(fields ...string) (l policy.Layer) {
		for i := 0; i < len(fields); i += 2 {
			var err error
			if l, err = l.With(fields[i], fields[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	weak := layer("guard.levels.users_default", "60", "delegate", "true", "quota.room.count", "5")
	for name, tt := range map[string]struct {
		old, from policy.Layer // of carol
		edit      requests.Edit
		code      string
	}{
		"one field":                   {old: weak, edit: requests.Edit{Layer: layer("guard.levels.users_default", "60", "delegate", "true", "quota.room.count", "20")}, code: requests.CodeEditDormant},
		"meant":                       {old: weak, edit: requests.Edit{Layer: weak, TakeOver: true}},
		"the field itself":            {old: layer("delegate", "true"), edit: requests.Edit{Layer: layer("delegate", "true"), Field: "delegate"}},
		"the field itself and others": {old: weak, edit: requests.Edit{Layer: weak, Field: "delegate"}, code: requests.CodeEditDormant},
		"without them":                {old: weak, edit: requests.Edit{Layer: layer("quota.room.count", "20")}},
		"nothing at all":              {old: weak, edit: requests.Edit{}},
		"another value":               {old: layer("delegate", "false"), edit: requests.Edit{Layer: layer("delegate", "true")}},
		"a copy":                      {from: weak, edit: requests.Edit{Layer: weak}, code: requests.CodeEditDormant},
		"a copy, meant":               {from: weak, edit: requests.Edit{Layer: weak, TakeOver: true}},
		"their own":                   {old: weak, edit: requests.Edit{Layer: weak, Actor: carol}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.HS.Set(lobby, "m.room.power_levels", "", alice, object{
				"invite": 100, "users": object{string(alice): 100, string(carol): 50, string(bot): 100}, "events": object{policy.EventType: 50},
			})
			w.HS.Set(lobby, policy.EventType, "", carol, tt.old.Content())
			if !tt.from.Empty() {
				tt.edit.From = &policy.Source{Room: "!other:here", Author: carol, Layer: tt.from}
			}
			tt.edit.Room, tt.edit.Actor, tt.edit.Command = lobby, cmp.Or(tt.edit.Actor, alice), "$cmd"
			_, err := w.Editor.Write(t.Context(), tt.edit)
			var refusal requests.Refusal
			errors.As(err, &refusal)
			if refusal.Code != tt.code || err != nil && tt.code == "" {
				t.Errorf("%v", err)
			}
			if history, err := w.Editor.History(t.Context(), lobby, alice, 5); err != nil || (len(history) > 1) != (tt.code == "") {
				t.Errorf("%d versions, %v", len(history), err)
			}
		})
	}
}
