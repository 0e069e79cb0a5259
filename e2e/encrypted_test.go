package e2e

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// newSecretStage is newStage in an encrypted room.
func newSecretStage(t *testing.T, puppet bool) *stage {
	t.Helper()
	s := &stage{World: harness.New(t, harness.Options{Puppet: puppet})}
	s.owner, s.guest = s.Account("owner").Encrypted(), s.Account("guest")
	s.room = s.secretRoom(harness.RoomOptions{Name: "Secret stage"})
	return s
}

// secretRoom makes an encrypted room of the owner's with the bot in it.
func (s *stage) secretRoom(o harness.RoomOptions) id.RoomID {
	o.State = append(o.State, map[string]any{"type": "m.room.encryption", "state_key": "", "content": m{"algorithm": "m.megolm.v1.aes-sha2"}})
	room := s.BotRoom(s.owner, o)
	s.owner.EncryptRoom(room)
	return room
}

// allSecret checks that everything that the bot said in a room was encrypted.
func (s *stage) allSecret(t *testing.T, room id.RoomID) {
	t.Helper()
	for _, e := range s.owner.Seen(func(e harness.Event) bool {
		return e.Room == string(room) && e.Sender == string(s.Usher.Bot) && e.StateKey == nil && e.Wire != "m.room.encrypted"
	}) {
		t.Errorf("the bot sent %s unencrypted: %s", e.Type, e.Content)
	}
}

// TestEncryptedInvite: commands in an encrypted room, as the actor and as the bot, a refusal, and answers: all encrypted.
func TestEncryptedInvite(t *testing.T) {
	s := newSecretStage(t, true)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID)+" come and see")
	s.guest.AwaitInvite(s.room)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	other := s.Account("other")
	s.succeeds(s.owner, s.room, "!invite --as-bot "+string(other.ID))
	s.is(t, s.room, other.ID, "invite", s.Usher.Bot)
	s.refused(t, s.owner, s.room, "!invite "+string(s.owner.ID), "already")
	s.allSecret(t, s.room)
}
