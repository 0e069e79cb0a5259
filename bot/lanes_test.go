package bot

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func events(r id.RoomID, n int) []invites.Received {
	out := make([]invites.Received, n)
	for i := range out {
		out[i] = invites.Received{Room: r, Event: id.EventID(fmt.Sprint(i)), Seq: int64(i)}
	}
	return out
}

func TestLanesKeepTheOrderOfARoom(t *testing.T) {
	const rooms, each = 20, 50
	var mu sync.Mutex
	seen := map[id.RoomID][]int64{}
	var left sync.WaitGroup
	left.Add(rooms * each)
	l := newLanes(4, func(_ context.Context, ev invites.Received) {
		defer left.Done()
		mu.Lock()
		defer mu.Unlock()
		seen[ev.Room] = append(seen[ev.Room], ev.Seq)
	})
	for r := range rooms {
		l.push(t.Context(), events(id.RoomID(fmt.Sprint(r)), each))
	}
	left.Wait()
	for r, order := range seen {
		for i, seq := range order {
			if seq != int64(i) {
				t.Fatalf("room %s: event %d came at place %d", r, seq, i)
			}
		}
	}
	if err := l.stop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(l.waiting) != 0 {
		t.Errorf("%d lanes are left over", len(l.waiting))
	}
}

func TestLanesRunSideBySideUpToTheBound(t *testing.T) {
	started, free := make(chan id.RoomID, 3), make(chan struct{})
	l := newLanes(2, func(_ context.Context, ev invites.Received) {
		started <- ev.Room
		<-free
	})
	for _, r := range []id.RoomID{"a", "b", "c"} {
		l.push(t.Context(), events(r, 1))
	}
	if one, other := <-started, <-started; one == other {
		t.Error("two of one room at a time")
	}
	select {
	case r := <-started:
		t.Errorf("%s runs beyond the bound", r)
	default:
	}
	close(free)
	<-started
	if err := l.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLanesStop(t *testing.T) {
	started, free := make(chan struct{}), make(chan struct{})
	handled := 0
	l := newLanes(1, func(context.Context, invites.Received) {
		handled++
		close(started)
		<-free
	})
	l.push(t.Context(), events("a", 2))
	<-started
	hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.stop(hurried); err == nil {
		t.Error("stopped while an event is under way")
	}
	l.push(t.Context(), events("b", 1))
	close(free)
	if err := l.stop(t.Context()); err != nil || handled != 1 {
		t.Errorf("%v, %d handled; want the one under way and no other", err, handled)
	}
}
