package chat

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// slowJoins is a RoomState whose joins wait for an answer.
type slowJoins struct {
	RoomState
	answer chan error
	acts   atomic.Int32
}

func (s *slowJoins) Act(context.Context, invites.Effect) error {
	s.acts.Add(1)
	return <-s.answer
}

// TestSlowJoinFreesItsSlot: a try at an event waits three seconds for the bot's own join; the next try waits for the same request.
func TestSlowJoinFreesItsSlot(t *testing.T) {
	t.Parallel()
	b, _ := newChat(t)
	slow := &slowJoins{answer: make(chan error)}
	b.Members.state = slow
	start := time.Now()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); !errors.Is(err, errMoving) {
		t.Errorf("got %v, want %v", err, errMoving)
	}
	if took := time.Since(start); took > moveTakes+time.Second {
		t.Errorf("waited %s", took)
	}
	go func() { slow.answer <- nil }()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); err != nil || slow.acts.Load() != 1 {
		t.Errorf("%v after %d requests, want one", err, slow.acts.Load())
	}
	go func() { slow.answer <- nil }()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); err != nil || slow.acts.Load() != 2 {
		t.Errorf("%v after %d requests: an old answer serves a new invitation", err, slow.acts.Load())
	}
}

// woken is a queue that notes the rows that it is to wake.
type woken []int64

func (w *woken) Wake(_ context.Context, _ time.Time, rows ...int64) error {
	*w = append(*w, rows...)
	return nil
}

// TestBanned: a ban has the invitations of the banned user in the room that wait to be sent tried at once, and no others.
func TestBanned(t *testing.T) {
	queue := &woken{}
	b, _ := newChat(t, func(o *Options) { o.Queue = queue })
	row := func(in id.RoomID, target id.UserID, status invites.Status) invites.Change {
		return invites.Change{
			Request: "$c", Command: "$c", Action: room.Invite, Room: in, Target: target, Actor: "@alice:here", Status: status, DueAt: time.Now().Add(time.Hour),
		}
	}
	rows, err := b.store.Record(t.Context(), []invites.Change{
		row("!r:here", "@bob:far", invites.StatusOpen), row("!r:here", "@carol:far", invites.StatusOpen), row("!other:here", "@bob:far", invites.StatusOpen),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Left("!r:here", "")
	b.Left("!r:here", "@bob:far")
	b.Left("!r:here", "@dora:far")
	b.Members.leaveIfAlone(t.Context(), "!r:here")
	if want := (woken{rows[0].ID}); !slices.Equal(*queue, want) {
		t.Errorf("woken %v, want %v", *queue, want)
	}
}
