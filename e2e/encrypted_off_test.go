package e2e

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// TestEncryptionOff: a Usher that may not encrypt does what it is asked for in plain, and says nothing in encrypted rooms:
// no greeting, reaction, notice, card, picture; nor does it upload one. In others, it answers as ever.
func TestEncryptionOff(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Set: map[string]any{"encryption.enabled": false}})
	s.settled(s.owner, s.room)
	secret := s.BotRoom(s.owner, harness.RoomOptions{State: []any{
		m{"type": "m.room.encryption", "state_key": "", "content": m{"algorithm": "m.megolm.v1.aes-sha2"}},
	}})
	late := s.BotRoom(s.owner, harness.RoomOptions{})
	s.settled(s.owner, late)
	s.owner.EncryptRoom(late)
	before := len(s.fromBot(late))
	for _, room := range []id.RoomID{secret, late} {
		for _, command := range []string{"!invite " + string(s.guest.ID), "!ping", "!tree --picture", "!invite nobody"} {
			s.owner.Say(room, command)
		}
		s.owner.AwaitMember(room, s.guest.ID, "invite")
		s.owner.SetState(room, policyEvent, "", m{"version": 1, "approval": m{"required": true}})
		member := s.Account("member")
		s.owner.Invite(room, member.ID)
		member.Join(room)
		s.owner.AwaitMember(room, member.ID, "join")
		member.Say(room, "!invite "+string(s.Account("other").ID)) // which would need a card
		s.owner.SetState(room, policyEvent, "", m{"version": 1})
		last := s.Account("last")
		s.owner.Say(room, "!invite "+string(last.ID)) // in the order of the room
		s.owner.AwaitMember(room, last.ID, "invite")
	}
	s.settled(s.owner, s.room)
	if said := s.fromBot(secret); len(said) != 0 {
		t.Errorf("it said %+v", said)
	}
	if said := s.fromBot(late); len(said) != before {
		t.Errorf("it said %+v", said[before:])
	}
	uploads := s.Usher.Tap.Requests(func(r harness.Request) bool {
		return strings.Contains(r.Path, "/keys/upload") || strings.Contains(r.Path, string(secret)+"/send/")
	})
	if len(uploads) != 0 {
		t.Errorf("it tried: %+v", uploads)
	}
	if n := strings.Count(s.Usher.Tail(10000), "encryption is off"); n != 2 {
		t.Errorf("it logged %d times that rooms are encrypted", n)
	}
}
