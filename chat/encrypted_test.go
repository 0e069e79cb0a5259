package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
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

// clearDevice opens events by their ciphertext, and sends all in plain.
type clearDevice struct {
	Device
	clear map[string]string // contents
}

func (clearDevice) CaughtUp() bool { return true }
func (clearDevice) Seal(_ context.Context, _ id.RoomID, eventType string, content any) (string, any, error) {
	return eventType, content, nil
}
func (d clearDevice) Open(_ context.Context, ev invites.Received) (invites.Received, error) {
	clear, ok := d.clear[exactjson.Text(ev.Raw, "content", "ciphertext")]
	if !ok {
		return ev, invites.ErrNoKey
	}
	ev.Type, ev.Raw, ev.Protection = room.TypeMessage, json.RawMessage(`{"content":`+clear+`}`), invites.Encrypted
	return ev, nil
}

// TestEncryptedEdit: the edit of an encrypted command that failed runs, once; the edit of chat, of an unreadable message or of another's does not.
func TestEncryptedEdit(t *testing.T) {
	const edit = `{"msgtype":"m.text","body":"* !ping","m.new_content":{"msgtype":"m.text","body":"!ping"},"m.relates_to":{"rel_type":"m.replace","event_id":%q}}`
	device := clearDevice{clear: map[string]string{
		"failed": `{"msgtype":"m.text","body":"!pign"}`, "chat": `{"msgtype":"m.text","body":"pign"}`,
		"edit of $failed": fmt.Sprintf(edit, "$failed"), "edit of $chat": fmt.Sprintf(edit, "$chat"), "edit of $lost": fmt.Sprintf(edit, "$lost"),
	}}
	for _, tt := range []struct {
		name, edit, sender string
		runs               bool
	}{
		{"of a failed command", "edit of $failed", "@alice:here", true},
		{"by somebody else", "edit of $failed", "@bob:here", false},
		{"of chat", "edit of $chat", "@alice:here", false},
		{"of a message without its key", "edit of $lost", "@alice:here", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, said := newChat(t, func(o *Options) { o.Device = device })
			b.level = commands.User
			b.runner.Self.Bot = "@usher:here"
			sealed := func(event id.EventID, sender, ciphertext string) invites.Received {
				raw := fmt.Sprintf(`{"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":%q}}`, ciphertext)
				return invites.Received{
					Event: event, Room: "!r:here", Sender: id.UserID(sender), Type: room.TypeEncrypted, SentAt: time.Now(), ReceivedAt: time.Now(), Raw: json.RawMessage(raw),
				}
			}
			list, err := b.store.Receive(t.Context(), []invites.Received{
				sealed("$failed", "@alice:here", "failed"), sealed("$chat", "@alice:here", "chat"), sealed("$lost", "@alice:here", "lost"),
			})
			if err != nil {
				t.Fatal(err)
			}
			b.handle(t, list[0])
			before := said.count("/send/m.room.message/")
			for i, want := range []bool{tt.runs, false} {
				fresh, err := b.store.Receive(t.Context(), []invites.Received{sealed(id.EventID(fmt.Sprint("$edit", i)), tt.sender, tt.edit)})
				if err != nil {
					t.Fatal(err)
				}
				b.handle(t, fresh[0])
				n := said.count("/send/m.room.message/")
				if ran := n > before; ran != want {
					t.Errorf("edit %d ran: %v", i+1, ran)
				}
				before = n
			}
		})
	}
}
