package e2e

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// newSecretStage is newStage in an encrypted room.
func newSecretStage(t *testing.T, puppet bool) *stage {
	t.Helper()
	return newStageOf(t, harness.Options{Puppet: puppet, Encrypted: true})
}

// fromBot are the message events that the bot sent in a room, as far as the owner has seen.
func (s *stage) fromBot(room id.RoomID) []harness.Event {
	return s.owner.Seen(func(e harness.Event) bool {
		return e.Room == string(room) && e.Sender == string(s.Usher.Bot) && e.StateKey == nil
	})
}

// allSecret checks that everything that the bot said in a room was encrypted, and that there was something.
func (s *stage) allSecret(t *testing.T, room id.RoomID) {
	t.Helper()
	said := s.fromBot(room)
	if len(said) == 0 {
		t.Error("the bot said nothing")
	}
	for _, e := range said {
		if e.Wire != "m.room.encrypted" {
			t.Errorf("the bot sent %s unencrypted: %s", e.Wire, e.Content)
		}
	}
}

// TestEncryptedInvite: commands in an encrypted room, refusals, and answers: reactions, notices, all encrypted.
func TestEncryptedInvite(t *testing.T) {
	for _, c := range []struct {
		name   string
		puppet bool
	}{{"as the actor", true}, {"as the bot", false}} {
		t.Run(c.name, func(t *testing.T) {
			s := newSecretStage(t, c.puppet)
			by := s.Usher.Bot
			if c.puppet {
				by = s.owner.ID
			}
			s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID)+" come and see")
			s.guest.AwaitInvite(s.room)
			s.is(t, s.room, s.guest.ID, "invite", by)
			s.refused(t, s.owner, s.room, "!invite "+string(s.owner.ID), "already")
			s.guest.Join(s.room)
			s.owner.AwaitMember(s.room, s.guest.ID, "join")
			s.refused(t, s.guest, s.room, "!invite", "Usage")
			failed := s.owner.Say(s.room, "!pign")
			s.owner.AwaitReply(failed, s.Usher.Bot)
			edit(s.owner, s.room, failed, "!ping")
			s.owner.Await("the answer to the edit", func(e harness.Event) bool {
				return e.Sender == string(s.Usher.Bot) && e.Relation().ReplyTo == string(failed) && strings.Contains(e.Field("body"), "Pong")
			})
			s.allSecret(t, s.room)
		})
	}
}

// TestEncryptedProtection: in an encrypted room, an unencrypted command is not carried out, and where the operator wants verified devices, neither is one
// from an unsigned device. The sender learns why.
func TestEncryptedProtection(t *testing.T) {
	for _, commands := range []string{"any", "encrypted", "verified"} {
		t.Run(commands, func(t *testing.T) {
			s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: map[string]any{"encryption.commands": commands}})
			s.settled(s.owner, s.room)
			forged := s.owner.SayPlain(s.room, "!invite "+string(s.guest.ID))
			if commands == "any" {
				s.owner.AwaitReaction(forged, s.Usher.Bot, done)
				return
			}
			if reply := s.owner.AwaitReply(forged, s.Usher.Bot); !strings.Contains(reply.Field("body"), "not_encrypted") {
				t.Errorf("the reply is %s", reply.Content)
			}
			if n := s.acts(s.room); n != 0 {
				t.Error("an unencrypted command was carried out")
			}
			if commands == "verified" {
				s.refused(t, s.owner.Again(), s.room, "!invite "+string(s.guest.ID), "not_verified")
			}
			s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
			s.allSecret(t, s.room)
		})
	}
}

// TestLateEncryption: a room turns encryption on while the bot is in it. What it says from then on is encrypted.
func TestLateEncryption(t *testing.T) {
	s := newStage(t, true)
	s.owner.Encrypted()
	s.settled(s.owner, s.room)
	before := len(s.fromBot(s.room))
	s.owner.EncryptRoom(s.room)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.settled(s.owner, s.room)
	for _, e := range s.fromBot(s.room)[before:] {
		if e.Wire != "m.room.encrypted" {
			t.Errorf("the bot sent %s unencrypted: %s", e.Wire, e.Content)
		}
	}
	if err := s.Usher.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settled(s.owner, s.room)
	if said := s.fromBot(s.room); said[len(said)-1].Wire != "m.room.encrypted" {
		t.Error("after a restart, the bot forgot that the room is encrypted")
	}
}

// TestLateDevice: somebody logs in anew. The answers are readable there as well, and commands from there are understood.
func TestLateDevice(t *testing.T) {
	s := newSecretStage(t, true)
	s.settled(s.owner, s.room)
	second := s.owner.Again()
	s.settled(second, s.room)
	said := s.owner.Say(s.room, "!ping")
	second.AwaitReply(said, s.Usher.Bot)
}

// TestKeyAfterEvent: a command whose key comes late is run when it comes. What its sender says after it waits; what others say
// does not wait for long.
func TestKeyAfterEvent(t *testing.T) {
	s := newSecretStage(t, true)
	other := s.Account("other")
	s.owner.Invite(s.room, other.ID)
	other.Join(s.room)
	s.settled(s.owner, s.room)
	late, deliver := s.owner.SayBeforeKey(s.room, "!invite "+string(s.guest.ID))
	after := s.owner.Say(s.room, "!ping")
	s.settled(other, s.room) // takes as long as the bot holds up the room
	if n := s.acts(s.room); n != 0 {
		t.Fatal("the command was run without its key")
	}
	if len(s.owner.Seen(func(e harness.Event) bool { return e.Relation().ReplyTo == string(after) })) != 0 {
		t.Error("what the same person said later came first")
	}
	deliver(s.Usher.Bot)
	s.owner.AwaitReaction(late, s.Usher.Bot, done)
	s.owner.AwaitReply(after, s.Usher.Bot)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	s.answeredOnce(t, late)
	s.allSecret(t, s.room)
}

// TestKeyNeverComes: what can't be read is answered once, until something can be read again.
func TestKeyNeverComes(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: map[string]any{"encryption.wait_for_keys": "1s"}})
	s.settled(s.owner, s.room)
	unreadable := func() (id.EventID, id.EventID) {
		first, _ := s.owner.SayBeforeKey(s.room, "!ping")
		second, _ := s.owner.SayBeforeKey(s.room, "!ping")
		return first, second
	}
	for range 2 {
		first, second := unreadable()
		s.owner.AwaitReply(first, s.Usher.Bot)
		s.settled(s.owner, s.room)
		if n := len(s.owner.Seen(func(e harness.Event) bool { return e.Relation().ReplyTo == string(second) })); n != 0 {
			t.Error("the second of two unreadable messages was answered too")
		}
	}
	s.allSecret(t, s.room)
}

// TestDownWhenAskedInSecret: a command that is said in an encrypted room while Usher is down is run when it is back: event and
// key wait at the homeserver.
func TestDownWhenAskedInSecret(t *testing.T) {
	s := newSecretStage(t, true)
	s.settled(s.owner, s.room)
	if err := s.Usher.Stop(); err != nil {
		t.Error(err)
	}
	s.owner.Rekey(s.room)
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID))
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	s.allSecret(t, s.room)
}
