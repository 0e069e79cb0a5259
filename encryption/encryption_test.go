package encryption

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// say encrypts a text for a room, with the key given to users.
func (p *person) say(text string, to ...id.UserID) invites.Received {
	p.t.Helper()
	ctx := p.t.Context()
	if len(to) > 0 {
		_ = p.machine.CryptoStore.RemoveOutboundGroupSession(ctx, secret)
		_, err := p.machine.FetchKeys(ctx, to, true)
		if err == nil {
			err = p.machine.ShareGroupSession(ctx, secret, to)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	sealed, err := p.machine.EncryptMegolmEvent(ctx, secret, event.EventMessage, map[string]any{"msgtype": "m.text", "body": text})
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"content": sealed})
	if err != nil {
		p.t.Fatal(err)
	}
	p.events++
	return invites.Received{Event: id.EventID(fmt.Sprintf("$%s%d", p.machine.Client.UserID, p.events)), Room: secret, Sender: p.machine.Client.UserID,
		Type: "m.room.encrypted", Raw: raw, SentAt: time.UnixMilli(1)}
}

// hear takes in what was sent to the person's device, and decrypts an event of the bot's.
func (p *person) hear(s *stub, sealed any) (*event.Event, error) {
	p.t.Helper()
	sync, err := p.machine.Client.FullSyncRequest(p.t.Context(), mautrix.ReqSync{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.machine.ProcessSyncResponse(p.t.Context(), sync, "")
	ev := &event.Event{ID: "$bot", RoomID: secret, Sender: bot, Type: event.EventEncrypted}
	raw, _ := json.Marshal(sealed)
	if err := json.Unmarshal(raw, &ev.Content); err != nil {
		p.t.Fatal(err)
	}
	if err := ev.Content.ParseRaw(ev.Type); err != nil {
		p.t.Fatal(err)
	}
	return p.machine.DecryptMegolmEvent(p.t.Context(), ev)
}

// text is the body in an opened event.
func text(ev invites.Received) string {
	var e struct{ Content struct{ Body string } }
	_ = json.Unmarshal(ev.Raw, &e)
	return e.Content.Body
}

func TestOpen(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a, b := newPerson(t, s, alice), newPerson(t, s, bob)

	first := a.say("hello", bot)
	if r := await(t, came); r != secret {
		t.Errorf("a key came for %q", r)
	}
	for range 2 { // as after a crash
		opened, err := d.Open(t.Context(), first)
		if err != nil || opened.Type != "m.room.message" || text(opened) != "hello" || opened.Sender != alice {
			t.Errorf("got %+v, %v", opened, err)
		}
	}
	again := first
	again.Event = "$again"
	broken := a.say("x")
	broken.Raw = json.RawMessage(`{"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"x","session_id":"y"}}`)
	moved := a.say("to another room")
	moved.Room = plain
	stolen := a.say("with alice's key")
	stolen.Sender = bob
	for _, tt := range []struct {
		name string
		ev   invites.Received
		want error
	}{
		{"replayed", again, ErrReplay},
		{"malformed", broken, ErrUnreadable},
		{"no JSON", invites.Received{Raw: json.RawMessage(`{`)}, ErrUnreadable},
		{"without its key", b.say("hi", alice), ErrNoKey},
		{"moved to another room", moved, ErrNoKey},
		{"under another name", stolen, ErrUnreadable},
	} {
		if _, err := d.Open(t.Context(), tt.ev); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestSeal(t *testing.T) {
	s, rooms := newStub(t), &fakeRooms{}
	a := newPerson(t, s, alice)
	d, _, _ := newDevice(t, s, rooms, t.TempDir(), nil)
	content := map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": "$x", "key": "✅"}}

	kind, same, err := d.Seal(t.Context(), plain, "m.reaction", content)
	if got, ok := same.(map[string]any); err != nil || kind != "m.reaction" || !ok || len(got) != 1 {
		t.Errorf("in a plain room: %s %v, %v", kind, same, err)
	}
	kind, sealed, err := d.Seal(t.Context(), secret, "m.reaction", content)
	if err != nil || kind != "m.room.encrypted" {
		t.Fatalf("got %s, %v", kind, err)
	}
	if r := sealed.(*event.EncryptedEventContent).RelatesTo; r == nil || r.EventID != "$x" || r.Key != "✅" {
		t.Errorf("the relation is not readable: %+v", r)
	}
	opened, err := a.hear(s, sealed)
	if err != nil || opened.Type.Type != "m.reaction" {
		t.Errorf("alice reads %+v, %v", opened, err)
	}

	session := func() id.SessionID {
		_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		return sealed.(*event.EncryptedEventContent).SessionID
	}
	before := session()
	if session() != before {
		t.Error("a new session though nothing changed")
	}
	d.Changed(secret, "m.room.topic")
	if session() != before {
		t.Error("a new session after a change of topic")
	}
	d.Changed(secret, "m.room.member")
	if session() == before {
		t.Error("the old session after a change of members")
	}

	rooms.off = true
	if kind, _, err := d.Seal(t.Context(), secret, "m.reaction", content); err != nil || kind != "m.room.encrypted" {
		t.Errorf("once encrypted, always encrypted; but got %s, %v", kind, err)
	}
	rooms.err = invites.ErrNoView
	if _, _, err := d.Seal(t.Context(), plain, "m.reaction", content); !errors.Is(err, invites.ErrNoView) {
		t.Errorf("in a room whose state can't be read: %v", err)
	}
}

func TestSignedDevicesOnly(t *testing.T) {
	s := newStub(t)
	a := newPerson(t, s, alice) // not signed
	d, _, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.SignedOnly = true })
	_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.hear(s, sealed); !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		t.Errorf("an unsigned device got the key: %v", err)
	}
}

// TestKeysAreKeptWholeOrNotAtAll: between the save of the session that a key came by and that of the key, the database fails;
// the key is there with the next try.
func TestKeysAreKeptWholeOrNotAtAll(t *testing.T) {
	s := newStub(t)
	met := make(faults, 100)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.Log = zerolog.New(met) })
	a := newPerson(t, s, alice)
	for _, kind := range []string{"first message of a session", "later message"} {
		if err := d.fail(`CREATE TRIGGER broken BEFORE INSERT ON crypto_megolm_inbound_session BEGIN SELECT RAISE(ABORT, 'broken'); END`); err != nil {
			t.Fatal(err)
		}
		ev := a.say("hello", bot)
		<-met
		if _, err := d.Open(t.Context(), ev); !errors.Is(err, ErrNoKey) {
			t.Fatalf("%s: got %v", kind, err)
		}
		if err := d.fail(`DROP TRIGGER broken`); err != nil {
			t.Fatal(err)
		}
		await(t, came)
		if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "hello" {
			t.Errorf("%s: got %q, %v", kind, text(opened), err)
		}
	}
}

func (d *Device) fail(query string) error {
	_, err := d.o.Keys.DB.Exec(context.Background(), query)
	return err
}

// faults is a log that says when something could not be saved.
type faults chan struct{}

func (f faults) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("could not be taken in")) {
		f <- struct{}{}
	}
	return len(line), nil
}

func TestRestart(t *testing.T) {
	s, dir := newStub(t), t.TempDir()
	a := newPerson(t, s, alice)
	_, _, stop := newDevice(t, s, &fakeRooms{}, dir, nil)
	stop()
	ev := a.say("while it was down", bot)
	d, _, stop := newDevice(t, s, &fakeRooms{}, dir, nil)
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "while it was down" {
		t.Errorf("got %q, %v", text(opened), err)
	}
	if len(s.keys[bot]) != 1 {
		t.Errorf("the bot has %d devices after a restart", len(s.keys[bot]))
	}
	stop()

	// The device is deleted: another takes its place, and what was received before can still be read.
	s.mu.Lock()
	delete(s.keys[bot], "DEVICE1")
	s.mu.Unlock()
	d, _, stop = newDevice(t, s, &fakeRooms{}, dir, nil)
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "while it was down" {
		t.Errorf("with a new device: got %q, %v", text(opened), err)
	}
	if s.keys[bot]["DEVICE2"] == nil {
		t.Errorf("the bot has %v", s.keys[bot])
	}
	stop()

	// The database is lost: the identity is the same.
	master := fmt.Sprint(s.signing[bot]["master_key"])
	for _, file := range []string{"keys.db", "keys.db-wal", "keys.db-shm"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	newDevice(t, s, &fakeRooms{}, dir, nil)
	if fmt.Sprint(s.signing[bot]["master_key"]) != master {
		t.Error("the bot has another identity")
	}
}
