package chat

import (
	"strings"
	"testing"

	"usher/commands"
)

// TestRoomTakesNotAll: where a room takes no reactions, a success is said in words; where it takes no messages, an answer is a reaction.
func TestRoomTakesNotAll(t *testing.T) {
	for _, tt := range []struct {
		name, refuse string
		reply        func(*commands.Reply)
		path, body   string
	}{
		{"no reactions", "/m.reaction/", func(r *commands.Reply) { r.React = "✅" }, "/m.room.message/", "✅ Done."},
		{"no reactions, and words", "/m.reaction/", func(r *commands.Reply) { r.React = "⚠️"; r.Text.Say("prune.left") }, "/m.room.message/", "Left as it is."},
		{"no messages, a refusal", "/m.room.message/", func(r *commands.Reply) { r.Mention = true; r.Text.Say("prune.left") }, "/m.reaction/", "❌"},
		{"no messages, an answer", "/m.room.message/", func(r *commands.Reply) { r.Text.Say("prune.left") }, "/m.reaction/", "🔇"},
		{"no messages, long work", "/m.room.message/", func(r *commands.Reply) { r.Progress = true; r.Text.Say("prune.left") }, "/m.reaction/", "⏳"},
		{"no messages, a success", "/m.room.message/", func(r *commands.Reply) { r.React = "✅"; r.Text.Say("prune.left") }, "/m.reaction/", "✅"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, s := newChat(t)
			s.refuse = tt.refuse
			ev := receive(t, b, "!ping")
			var reply commands.Reply
			tt.reply(&reply)
			if err := b.handler.replies.answer(t.Context(), ev, commands.Message{Event: ev.Event, Room: ev.Room}, reply); err != nil {
				t.Fatal(err)
			}
			if len(s.bodies) != 1 || !strings.Contains(s.paths[0], tt.path) || !strings.Contains(s.bodies[0], tt.body) {
				t.Errorf("sent %q to %q, want %q", s.bodies, s.paths, tt.body)
			}
		})
	}
}
