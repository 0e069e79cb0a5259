package requests_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// TestCarryOver: the policy of a replaced room is written in the name of its author, if the author may write it in the new room.
func TestCarryOver(t *testing.T) {
	const next = id.RoomID("!next:here")
	for _, tt := range []struct {
		name   string
		assert bool
		author id.UserID
		users  object // of the new room
		change func(*world)
		by     id.UserID
		from   id.RoomID
	}{
		{"as the author", true, alice, object{string(alice): 100}, nil, alice, lobby},
		{"as the bot", false, alice, object{string(alice): 100, string(bot): 50}, nil, bot, lobby},
		{"nobody may send it", false, alice, object{string(alice): 100}, nil, "", lobby},
		{"the author has no power there", true, alice, object{string(bot): 100}, nil, "", lobby},
		{"the author has no power there, the bot has", false, alice, object{string(bot): 100}, nil, "", lobby},
		{"the author is not there", true, alice, object{string(alice): 100, string(bot): 100}, func(w *world) { w.HS.Member(next, alice, "leave") }, "", lobby},
		{"the author lost the old room", true, alice, object{string(alice): 100, string(bot): 100}, func(w *world) { w.HS.Member(lobby, alice, "leave") }, "", lobby},
		{"it has one already", true, alice, object{string(alice): 100}, func(w *world) { w.HS.Set(next, policy.EventType, "", alice, object{}) }, "", ""},
		{"it replaces nothing", true, alice, object{string(alice): 100}, func(w *world) { w.HS.Set(lobby, room.TypeTombstone, "", alice, object{}) }, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.In.Self.Assert = tt.assert
			w.Build()
			w.HS.Set(lobby, policy.EventType, "", tt.author, object{"version": 1, "delegate": true})
			w.HS.Create(next, "11", "@maker:here", bot, alice)
			w.HS.Set(next, room.TypeCreate, "", "@maker:here", object{"room_version": "11", "creator": "@maker:here", "predecessor": object{"room_id": lobby}})
			w.HS.Set(next, room.TypePowerLevels, "", "@maker:here", object{"users": tt.users})
			w.HS.Set(lobby, room.TypeTombstone, "", alice, object{"replacement_room": next})
			if tt.change != nil {
				tt.change(w)
			}
			tries := 0
			w.HS.BeforeState = func() error { tries++; return nil }
			c, err := w.Editor.CarryOver(t.Context(), "$cause", next)
			if err != nil || c.By != tt.by || c.From != tt.from {
				t.Fatalf("%+v %v", c, err)
			}
			if (tries > 0) != (tt.by != "") {
				t.Errorf("%d requests", tries)
			}
			source, err := w.Judge.Policies.Own(t.Context(), next, bot)
			if err != nil || (tt.by != "") != source.Layer.Has("delegate") || tt.by != "" && source.Person(bot) != tt.author {
				t.Errorf("%+v %v", source, err)
			}
			var again requests.Carried
			if again, err = w.Editor.CarryOver(t.Context(), "$cause", next); err != nil || tt.by != "" && again.From != "" {
				t.Errorf("again: %+v %v", again, err)
			}
		})
	}
}
