package encryption

import (
	"encoding/json"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

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

// TestProtection: only events of a device signed by the first identity seen of its owner are verified. A lost signature, or another
// identity, ends that.
func TestProtection(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.Verify = true })
	a, b := newPerson(t, s, alice), newPerson(t, s, bob)
	b.sign()
	open := func(p *person) invites.Protection {
		t.Helper()
		ev := p.say("hello", bot)
		for await(t, came) != secret {
		}
		opened, err := d.Open(t.Context(), ev)
		if err != nil {
			t.Fatal(err)
		}
		return opened.Protection
	}
	if got := open(a); got != invites.Encrypted {
		t.Errorf("an unsigned device: %v", got)
	}
	if got := open(b); got != invites.Verified {
		t.Errorf("a signed device: %v", got)
	}
	a.sign()
	d.rooms.devicesChanged([]id.UserID{alice, bob}, "") // as /sync says
	if got := open(a); got != invites.Verified {
		t.Errorf("a device signed since: %v", got)
	}
	b.sign() // by another identity
	d.rooms.devicesChanged([]id.UserID{bob}, "")
	if got := open(b); got != invites.Encrypted {
		t.Errorf("a device signed by another identity: %v", got)
	}
	d.o.Verify = false
	if got := open(a); got != invites.Encrypted {
		t.Errorf("without looking at devices: %v", got)
	}
	for r, want := range map[id.RoomID]bool{secret: true, plain: false} {
		if got, err := d.Encrypted(t.Context(), r); err != nil || got != want {
			t.Errorf("%s is encrypted: %v, %v", r, got, err)
		}
	}
}
