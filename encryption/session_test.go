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

// TestUnfit: PostgreSQL refuses some values. A sender of such a value harms no other user.
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
		"ciphertext": m{r.session.machine.OwnIdentity().IdentityKey.String(): m{"type": 0, "body": "AwogAAAA"}}}})
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
	if _, err := r.Open(t.Context(), odd); !errors.Is(err, invites.ErrUnreadable) {
		t.Errorf("got %v", err)
	}
}

// shareOdd sends the bot a new key, with some fields of the message changed.
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
