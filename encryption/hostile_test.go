package encryption

import (
	"encoding/json"
	"errors"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store/pgtest"
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

// TestHostileMessages: homeservers pass on what anybody sends to a device. What can't be read harms nothing that comes with it or after.
func TestHostileMessages(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	a.say("first", bot)
	await(t, came)
	olm := m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "x", "ciphertext": m{d.machine.OwnIdentity().IdentityKey.String(): m{"type": 0, "body": "AwogAAAA"}}}
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

// TestHostileKeys: one member's keys that can't be read keep nobody else from hearing the bot.
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

// TestUnfit: PostgreSQL refuses some values that SQLite takes. Who sends such harms nobody but themselves.
func TestUnfit(t *testing.T) {
	pg, err := pgtest.Start()
	pgtest.Need(t, err)
	t.Cleanup(func() { _ = pg.Stop() })
	s := newStub(t)
	a, b := newPerson(t, s, alice), newPerson(t, s, bob)
	r, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), onPostgres(t, pg.Database(t)))
	a.say("first", bot)
	for await(t, came) != secret {
	}
	s.put(m{"type": "m.room.encrypted", "sender": "@mallory:here", "content": m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "\x00",
		"ciphertext": m{r.machine.OwnIdentity().IdentityKey.String(): m{"type": 0, "body": "AwogAAAA"}}}})
	for _, odd := range []m{{"room_id": "!\x00:here"}, {"org.matrix.msc3061.shared_history": true, "com.beeper.max_messages": 1 << 40}} {
		b.shareOdd(odd)
	}
	ev := a.say("hello", bot)
	for await(t, came) != secret {
	}
	if opened, err := r.Open(t.Context(), ev); err != nil || text(opened) != "hello" {
		t.Errorf("got %q, %v", text(opened), err)
	}
	odd := invites.Received{Event: "$odd", Room: secret, Sender: bob, Type: "m.room.encrypted",
		Raw: json.RawMessage(`{"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"AwgA","sender_key":"x","session_id":"\u0000"}}`)}
	if _, err := r.Open(t.Context(), odd); !errors.Is(err, ErrUnreadable) {
		t.Errorf("got %v", err)
	}
}

// shareOdd gives the bot a new key, with some fields of the message that brings it changed.
func (p *person) shareOdd(change m) {
	p.t.Helper()
	ctx := p.t.Context()
	p.say("odd", p.machine.Client.UserID)
	session, err := p.machine.CryptoStore.GetOutboundGroupSession(ctx, secret)
	if err != nil {
		p.t.Fatal(err)
	}
	raw := m{"algorithm": "m.megolm.v1.aes-sha2", "room_id": secret, "session_id": session.ID(), "session_key": session.Internal.Key()}
	for k, v := range change {
		raw[k] = v
	}
	devices, err := p.machine.FetchKeys(ctx, []id.UserID{bot}, true)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, device := range devices[bot] {
		if err := p.machine.SendEncryptedToDevice(ctx, device, event.ToDeviceRoomKey, event.Content{Raw: raw}); err != nil {
			p.t.Fatal(err)
		}
	}
}
