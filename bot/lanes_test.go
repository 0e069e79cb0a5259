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

func inbox(r id.RoomID, n int) []invites.Received {
	out := make([]invites.Received, n)
	for i := range out {
		out[i] = invites.Received{Room: r, Event: id.EventID(fmt.Sprint(i)), Sender: id.UserID("@" + r), Seq: int64(i), Raw: []byte("{}")}
	}
	return out
}

// empty checks that lanes keep nothing of what is over.
func empty(t *testing.T, l *lanes) {
	t.Helper()
	if err := l.stop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(l.rooms)+len(l.senders)+len(l.turns)+l.events != 0 {
		t.Errorf("left over: %d rooms, %d senders, %d turns, %d events", len(l.rooms), len(l.senders), len(l.turns), l.events)
	}
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
		if ev.Raw != nil {
			t.Error("a lane kept more than a key")
		}
		seen[ev.Room] = append(seen[ev.Room], ev.Seq)
	})
	for r := range rooms {
		l.push(t.Context(), inbox(id.RoomID(fmt.Sprint(r)), each))
	}
	left.Wait()
	for r, order := range seen {
		for i, seq := range order {
			if seq != int64(i) {
				t.Fatalf("room %s: event %d came at place %d", r, seq, i)
			}
		}
	}
	empty(t, l)
}

func TestLanesRunSideBySideUpToTheBound(t *testing.T) {
	started, free := make(chan id.RoomID, 3), make(chan struct{})
	l := newLanes(2, func(_ context.Context, ev invites.Received) {
		started <- ev.Room
		<-free
	})
	for _, r := range []id.RoomID{"a", "b", "c"} {
		l.push(t.Context(), inbox(r, 1))
	}
	if first, second := <-started, <-started; first == second {
		t.Error("two of one room at a time")
	}
	select {
	case r := <-started:
		t.Errorf("%s runs beyond the bound", r)
	default:
	}
	close(free)
	<-started
	empty(t, l)
}

// TestLanesAreFair: somebody who floods a thousand rooms gets a share of the slots, and who comes later the next free one.
func TestLanesAreFair(t *testing.T) {
	const parallel, rooms = 8, 1000
	started, free := make(chan id.UserID, rooms), make(chan struct{})
	l := newLanes(parallel, func(_ context.Context, ev invites.Received) {
		started <- ev.Sender
		<-free
	})
	flood := func(who id.UserID) {
		for r := range rooms {
			l.push(t.Context(), []invites.Received{{Room: id.RoomID(fmt.Sprint(who, r)), Sender: who}})
		}
	}
	flood("@mallory")
	for range parallel / 4 {
		<-started
	}
	l.push(t.Context(), []invites.Received{{Room: "!quiet", Sender: "@alice"}})
	if who := <-started; who != "@alice" {
		t.Errorf("%s is served before Alice, with free slots", who)
	}
	for i := range 4 { // all slots are taken now
		flood(id.UserID(fmt.Sprint("@mallory", i)))
	}
	for range parallel - parallel/4 - 1 {
		<-started
	}
	l.push(t.Context(), []invites.Received{{Room: "!quiet2", Sender: "@bob"}})
	served := 0
	for who := id.UserID(""); who != "@bob"; served++ {
		free <- struct{}{}
		who = <-started
	}
	if served > 6 {
		t.Errorf("Bob was served only after %d others: four have a turn before him", served-1)
	}
	close(free)
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
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
	l.push(t.Context(), inbox("a", 2))
	<-started
	hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.stop(hurried); err == nil {
		t.Error("stopped while an event is under way")
	}
	l.push(t.Context(), inbox("b", 1))
	close(free)
	if err := l.stop(t.Context()); err != nil || handled != 1 {
		t.Errorf("%v, %d handled; want the one under way and no other", err, handled)
	}
}

// TestStopEnds: a store that takes its time to note what is answered holds a stop up no longer than it may take.
func TestStopEnds(t *testing.T) {
	b, _ := newBot(t)
	b.lanes = newLanes(1, b.handle)
	noted := make(chan struct{})
	b.ending.Go(func() { <-noted })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	ended, stopped := make(chan struct{}), false
	go func() {
		defer close(ended)
		b.finish(ctx, func(context.Context) error { stopped = true; return nil })
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it waits for ever")
	}
	close(noted)
	<-ended
	if !stopped {
		t.Error("not all was stopped")
	}
	b.finish(t.Context())
}
