package main

import (
	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// secret shows the same in an encrypted room.
func (s *show) secret() {
	s.title("In the Vault, which is encrypted")
	alice, carol := s.cast[0].Again(), s.cast[2]
	room := alice.CreateRoom(harness.RoomOptions{Name: "The Vault", Invite: []id.UserID{s.usher.Bot}, State: []any{map[string]any{
		"type": "m.room.encryption", "state_key": "", "content": map[string]any{"algorithm": "m.megolm.v1.aes-sha2"},
	}}})
	alice.AwaitMember(room, s.usher.Bot, "join")
	greeting := alice.Await("Usher's greeting", func(e harness.Event) bool {
		return e.Room == string(room) && e.Sender == string(s.usher.Bot) && e.Type == "m.room.message"
	})
	s.step("usher", greeting.Field("body"))
	s.succeeds(alice, room, "!invite "+string(carol.ID))
	carol.AwaitInvite(room)
	s.answered(alice, room, "!ping", "Usher")
	said := alice.Seen(func(e harness.Event) bool {
		return e.Room == string(room) && e.Sender == string(s.usher.Bot) && e.StateKey == nil
	})
	for _, e := range said {
		if e.Wire != "m.room.encrypted" {
			s.Fatalf("Usher sent %s unencrypted", e.Wire)
		}
	}
	s.step("", "the homeserver saw nothing but m.room.encrypted")
}
