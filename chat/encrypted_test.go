package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// brokenDevice is a device whose database fails.
type brokenDevice struct{ Device }

func (brokenDevice) CaughtUp() bool { return true }
func (brokenDevice) Open(_ context.Context, ev invites.Received) (invites.Received, error) {
	return ev, errors.New("the database of keys is gone")
}

// TestOpenedInVain: an event that can't be opened for a reason inside, again and again, is tried with patience, and then ends as
// any that can't be read: it does not hold its room up for good.
func TestOpenedInVain(t *testing.T) {
	var log bytes.Buffer
	b, _ := newChat(t, logTo(&log), func(o *Options) { o.Device = brokenDevice{} })
	now := time.Now()
	fresh, err := b.store.Receive(t.Context(), []invites.Received{{
		Event: "$event", Room: "!r:here", Sender: "@alice:here", Type: room.TypeEncrypted, SentAt: now, ReceivedAt: now,
		Raw: json.RawMessage(`{"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"x","session_id":"s","sender_key":"k","device_id":"D"}}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.handler.once(t.Context(), &Turn{Event: fresh[0]}, true); err == nil {
		t.Error("not tried again")
	}
	if err := b.handler.once(t.Context(), &Turn{Event: fresh[0]}, false); err != nil {
		t.Errorf("tried for ever: %v", err)
	}
	if after, err := b.store.Received(t.Context(), "$event"); err != nil || !after.Handled {
		t.Errorf("%+v %v", after, err)
	}
	if n := strings.Count(log.String(), "can't be read"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

// absentDevice is a device that can't be set up. It can send nothing in encrypted rooms.
type absentDevice struct {
	Device
	encrypted bool // the room is
}

func (*absentDevice) CaughtUp() bool { return false }
func (*absentDevice) Open(_ context.Context, ev invites.Received) (invites.Received, error) {
	return ev, invites.ErrNoKey
}
func (d *absentDevice) Seal(_ context.Context, _ id.RoomID, eventType string, content any) (string, any, error) {
	if d.encrypted {
		return "", nil, errors.New("not set up")
	}
	return eventType, content, nil
}

// TestWaitingForTheDevice: while the device can't be set up, an encrypted event waits as long as for a key. Then its sender is told, as soon
// as that is possible, and later messages of the sender no longer wait.
func TestWaitingForTheDevice(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		device := &absentDevice{encrypted: encrypted}
		b, said := newChat(t, func(o *Options) { o.Device, o.Settings.WaitForKeys = device, 10*time.Minute })
		b.level = commands.User
		long := time.Now().Add(-time.Hour)
		rows := []invites.Received{
			{Event: "$sealed", Room: "!r:here", Sender: "@alice:here", Type: room.TypeEncrypted, SentAt: long, ReceivedAt: long, Raw: json.RawMessage(`{}`)},
			{Event: "$plain", Room: "!r:here", Sender: "@alice:here", Type: room.TypeMessage, SentAt: long, ReceivedAt: long, Raw: json.RawMessage(`{"content":{}}`)},
		}
		fresh, err := b.store.Receive(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		open := func(ev invites.Received) (goOn bool) {
			t.Helper()
			_, goOn, err := b.handler.encrypted.openEvent(t.Context(), ev, true)
			if err := errors.Join(err, b.Settle(t.Context())); err != nil {
				t.Error(err)
			}
			return goOn
		}
		if open(fresh[0]) || open(fresh[1]) {
			t.Error("an event waits for the device from the start on, and later ones wait behind it")
		}
		b.handler.encrypted.started = long
		open(fresh[0])
		if n := said.count("/send/m.room.message/"); (n == 1) == encrypted {
			t.Errorf("encrypted %v: %d notices", encrypted, n)
		}
		if ev, err := b.store.Received(t.Context(), "$sealed"); err != nil || ev.Handled == encrypted {
			t.Errorf("encrypted %v: handled %v, %v", encrypted, ev.Handled, err)
		}
		if !open(fresh[1]) {
			t.Error("a later message still waits")
		}
		device.encrypted = false // the device is there
		open(fresh[0])
		if n := said.count("/send/m.room.message/"); n != 1 {
			t.Errorf("encrypted %v: %d notices in the end", encrypted, n)
		}
	}
}
