package encryption

import (
	"testing"

	"maunium.net/go/mautrix/id"
)

// put puts messages to the bot's device into its inbox, as they are.
func (s *stub) put(messages ...m) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token := range s.inbox {
		if len(token) > len(bot) && token[:len(bot)] == string(bot) {
			s.inbox[token] = append(s.inbox[token], messages...)
		}
	}
	s.arrived.Broadcast()
}

// TestHostileMessages: homeservers pass on messages of any user to a device. An unreadable message harms no other message.
func TestHostileMessages(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	a.say("first", bot)
	await(t, came)
	olm := m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "x", "ciphertext": m{d.session.machine.OwnIdentity().IdentityKey.String(): m{"type": 0, "body": "AwogAAAA"}}}
	for _, content := range []any{
		nil, 1, "text", []any{m{}}, true, m{"algorithm": 1}, m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": nil}, olm,
		m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": []any{1}}, m{"body": m{"requesting_device_id": 1}},
	} {
		for _, kind := range []any{"m.room.encrypted", "m.room_key_request", "m.room_key", "m.room_key.withheld", "m.secret.request", "m.dummy", "org.example", 5, nil} {
			s.put(m{"type": kind, "sender": "@mallory:here", "content": content})
		}
		s.put(m{"type": "m.room.encrypted", "sender": content, "content": m{}}, m{"content": content}, nil)
	}
	ev := a.say("hello", bot)
	await(t, came)
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "hello" {
		t.Errorf("got %q, %v", text(opened), err)
	}
}

// TestHostileKeys: unreadable keys of one member keep no other member from reading the bot's events.
func TestHostileKeys(t *testing.T) {
	for name, keys := range map[string]any{
		"no object":     5,
		"null":          nil,
		"keys":          m{"user_id": bob, "device_id": "PHONE", "keys": "x"},
		"signatures":    m{"user_id": bob, "device_id": "PHONE", "keys": m{}, "signatures": []any{1}},
		"device id":     m{"user_id": bob, "device_id": []any{}, "keys": m{}},
		"one of them":   m{"user_id": bob, "device_id": "PHONE", "keys": m{"ed25519:PHONE": 1}},
		"cross-signing": m{"user_id": bob, "usage": 5, "keys": []any{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			a := newPerson(t, s, alice)
			d, _, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
			s.mu.Lock()
			s.hostile = map[id.UserID]any{bob: m{"PHONE": keys}, "@cy:here": keys}
			s.mu.Unlock()
			_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", m{"body": "for alice"})
			if err != nil {
				t.Fatal(err)
			}
			if heard, err := a.hear(s, sealed); err != nil || heard.Content.Raw["body"] != "for alice" {
				t.Errorf("alice hears %v, %v", heard, err)
			}
		})
	}
}
