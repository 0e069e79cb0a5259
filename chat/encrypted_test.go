package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

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
	if err := b.handler.once(t.Context(), fresh[0], true); err == nil {
		t.Error("not tried again")
	}
	if err := b.handler.once(t.Context(), fresh[0], false); err != nil {
		t.Errorf("tried for ever: %v", err)
	}
	if after, err := b.store.Received(t.Context(), "$event"); err != nil || !after.Handled {
		t.Errorf("%+v %v", after, err)
	}
	if n := strings.Count(log.String(), "can't be read"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}
