package e2e

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// newSecretStage is newStage in an encrypted room.
func newSecretStage(t *testing.T, puppet bool) *stage {
	t.Helper()
	return newStageOf(t, harness.Options{Puppet: puppet, Encrypted: true})
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
