package chat

import (
	"net/http"
	"testing"
	"time"

	"usher/invites"
	"usher/room"
)

// settledCommand puts a command into the inbox whose only row is done, and whose status message does not say so.
func settledCommand(t *testing.T, b *fixture) invites.Received {
	t.Helper()
	ev := receive(t, b, "!invite @x:here")
	now := time.Now()
	_, err := b.store.Record(t.Context(), []invites.Change{{
		Origin: invites.OriginCommand, Request: string(ev.Event), Command: ev.Event, CommandRoom: ev.Room, Action: room.Invite, Room: ev.Room, Target: "@x:here", Actor: ev.Sender,
		Performer: "@usher:here", Status: invites.StatusDone, CreatedAt: now, SettledAt: now,
	}}, nil)
	if err == nil {
		err = b.store.SetAnswer(t.Context(), ev.Event, "$answer")
	}
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// TestLastEditIsTriedAgain: a command whose last row the queue has settled while the homeserver took no edit is told of later.
func TestLastEditIsTriedAgain(t *testing.T) {
	b, s := newChat(t)
	ev := settledCommand(t, b)
	fails := func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status = status
	}
	fails(http.StatusBadGateway)
	b.Status.reportOrRetry(t.Context(), ev.Event, settled, time.Millisecond)
	if got, err := b.store.Received(t.Context(), ev.Event); err != nil || got.Handled {
		t.Fatalf("%v, handled %v: nothing was told", err, got.Handled)
	}
	fails(0)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if got, err := b.store.Received(t.Context(), ev.Event); err != nil {
			t.Fatal("never told: ", err)
		} else if got.Handled {
			return
		}
	}
}
