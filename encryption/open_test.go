package encryption

import (
	"encoding/json"
	"errors"
	"testing"

	"usher/invites"
)

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
		{"replayed", again, invites.ErrReplay},
		{"malformed", broken, invites.ErrUnreadable},
		{"no JSON", invites.Received{Raw: json.RawMessage(`{`)}, invites.ErrUnreadable},
		{"without its key", b.say("hi", alice), invites.ErrNoKey},
		{"moved to another room", moved, invites.ErrNoKey},
		{"under another name", stolen, invites.ErrUnreadable},
	} {
		if _, err := d.Open(t.Context(), tt.ev); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}
