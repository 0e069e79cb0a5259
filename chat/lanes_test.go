package chat

import (
	"context"
	"fmt"
	"math/rand/v2"
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
func empty(t *testing.T, l *Lanes) {
	t.Helper()
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(l.lanes)+len(l.senders)+len(l.turns)+l.events != 0 {
		t.Errorf("left over: %d rooms, %d senders, %d turns, %d events", len(l.lanes), len(l.senders), len(l.turns), l.events)
	}
}

// handlerFunc is a handler that needs no context.
type handlerFunc func(*Turn) (again time.Time)

// Handle implements EventHandler.
func (h handlerFunc) Handle(_ context.Context, turn *Turn) time.Time { return h(turn) }

// runLanes runs lanes whose handler never needs another try.
func runLanes(t *testing.T, parallel int, handle func(invites.Received)) *Lanes {
	t.Helper()
	l := NewLanes("@usher:here", parallel, 0)
	go l.Run(t.Context(), handlerFunc(func(turn *Turn) (again time.Time) {
		handle(turn.Event)
		return again
	}))
	return l
}

func TestLanesKeepTheOrderOfARoom(t *testing.T) {
	const rooms, each = 20, 50
	var mu sync.Mutex
	seen := map[id.RoomID][]int64{}
	var left sync.WaitGroup
	left.Add(rooms * each)
	l := runLanes(t, 4, func(ev invites.Received) {
		defer left.Done()
		mu.Lock()
		defer mu.Unlock()
		seen[ev.Room] = append(seen[ev.Room], ev.Seq)
	})
	for r := range rooms {
		l.Push(inbox(id.RoomID(fmt.Sprint(r)), each)...)
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

func TestFewWaitingEventsKeepTheirContent(t *testing.T) {
	l := NewLanes("@usher:here", 1, 0)
	l.Push(inbox("r", 10*mostWithContent)...)
	kept := 0
	for _, turn := range l.lanes[laneKey{room: "r"}].queue {
		kept += len(turn.Event.Raw)
	}
	if want := mostWithContent * len("{}"); kept != want {
		t.Errorf("%d bytes, want %d", kept, want)
	}
}

func TestLanesRunSideBySideUpToTheBound(t *testing.T) {
	started, free := make(chan id.RoomID, 3), make(chan struct{})
	l := runLanes(t, 2, func(ev invites.Received) {
		started <- ev.Room
		<-free
	})
	for _, r := range []id.RoomID{"a", "b", "c"} {
		l.Push(inbox(r, 1)...)
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
	l := runLanes(t, parallel, func(ev invites.Received) {
		started <- ev.Sender
		<-free
	})
	flood := func(who id.UserID) {
		for r := range rooms {
			l.Push(invites.Received{Room: id.RoomID(fmt.Sprint(who, r)), Sender: who})
		}
	}
	flood("@mallory")
	for range parallel / 4 {
		<-started
	}
	l.Push(invites.Received{Room: "!quiet", Sender: "@alice"})
	if who := <-started; who != "@alice" {
		t.Errorf("%s is served before Alice, with free slots", who)
	}
	for i := range 4 { // all slots are taken now
		flood(id.UserID(fmt.Sprint("@mallory", i)))
	}
	for range parallel - parallel/4 - 1 {
		<-started
	}
	l.Push(invites.Received{Room: "!quiet2", Sender: "@bob"})
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
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLanesStop(t *testing.T) {
	started, free := make(chan struct{}), make(chan struct{})
	handled := 0
	l := runLanes(t, 1, func(invites.Received) {
		handled++
		close(started)
		<-free
	})
	l.Push(inbox("a", 2)...)
	<-started
	hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Stop(hurried); err == nil {
		t.Error("stopped while an event is under way")
	}
	l.Push(inbox("b", 1)...)
	close(free)
	if err := l.Stop(t.Context()); err != nil || handled != 1 {
		t.Errorf("%v, %d handled; want the one under way and no other", err, handled)
	}
}

// TestStopEnds: a store that takes its time to note handled events holds a stop up no longer than the stop may take.
func TestStopEnds(t *testing.T) {
	b, _ := newChat(t)
	noted := make(chan struct{})
	b.background.Do(func(context.Context) { <-noted })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Settle(ctx); err == nil {
		t.Error("it did not wait")
	}
	close(noted)
	if err := b.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLanesWaitWithoutASlot: an event that is to be handled again holds up its own lane alone, and keeps its place there.
func TestLanesWaitWithoutASlot(t *testing.T) {
	l := NewLanes("@usher:here", 1, 0)
	handled, again := make(chan Turn, 10), make(chan time.Time, 10)
	go l.Run(t.Context(), handlerFunc(func(turn *Turn) time.Time {
		handled <- *turn
		return <-again
	}))
	l.Push(inbox("a", 2)...)
	first := <-handled
	again <- time.Now().Add(50 * time.Millisecond)
	l.Push(inbox("b", 1)...)
	if other := <-handled; other.Event.Room != "b" {
		t.Errorf("%+v was handled while the slot is free", other)
	}
	again <- time.Time{}
	second := <-handled
	if second.Event.Room != "a" || second.Event.Seq != 0 || second.Tries != 1 || !second.Since.Equal(first.Since) || first.Tries != 0 {
		t.Errorf("first %+v, then %+v", first, second)
	}
	again <- time.Time{}
	if third := <-handled; third.Event.Seq != 1 || third.Tries != 0 {
		t.Errorf("then %+v", third)
	}
	again <- time.Time{}
	empty(t, l)
}

// TestDoorHasALaneOfItsOwn: state events of a room wait for no command of the room, but the bot's own memberships do.
func TestDoorHasALaneOfItsOwn(t *testing.T) {
	started, free := make(chan id.EventID), make(chan struct{})
	l := runLanes(t, 8, func(ev invites.Received) {
		started <- ev.Event
		<-free
	})
	bot, other := "@usher:here", "@ann:here"
	l.Push(
		invites.Received{Event: "$command", Room: "!r", Sender: "@ann:here", Type: "m.room.message"},
		invites.Received{Event: "$join", Room: "!r", Sender: "@usher:here", Type: "m.room.member", StateKey: &bot},
		invites.Received{Event: "$knock", Room: "!r", Sender: "@ann:here", Type: "m.room.member", StateKey: &other},
	)
	if one, two := <-started, <-started; one == "$join" || two == "$join" {
		t.Errorf("%s and %s run side by side", one, two)
	}
	close(free)
	if last := <-started; last != "$join" {
		t.Errorf("last is %s", last)
	}
	empty(t, l)
}

// TestEventsOfALaneRunBeside: events of one lane that concern different users run side by side, up to the lane's share; those that concern
// the same users, or the sender of each other, run one after the other; one that concerns all runs alone.
func TestEventsOfALaneRunBeside(t *testing.T) {
	concerns := map[id.EventID][]id.UserID{"$1": {"@a"}, "$2": {"@b", "@c"}, "$3": {"@c"}, "$4": {"@d"}, "$6": {"@e"}, "$7": {"@ann"}, "$8": {"@f"}, "$9": {"@g"}, "$10": {"@h"}}
	l := NewLanes("@usher:here", 16, 0)
	started, free := make(chan id.EventID, 16), map[id.EventID]chan struct{}{}
	for i := range 10 {
		event := id.EventID(fmt.Sprint("$", i+1))
		free[event] = make(chan struct{})
		l.Push(invites.Received{Event: event, Room: "!r", Sender: "@ann"})
	}
	go l.Run(t.Context(), handlerFunc(func(turn *Turn) (again time.Time) {
		users, some := concerns[turn.Event.Event]
		if !turn.Beside(users, !some) {
			return again
		}
		started <- turn.Event.Event
		<-free[turn.Event.Event]
		return again
	}))
	expect := func(want ...id.EventID) {
		t.Helper()
		got := map[id.EventID]bool{}
		for range want {
			got[<-started] = true
		}
		for _, event := range want {
			if !got[event] {
				t.Errorf("began %v, want %v", got, want)
			}
		}
		select {
		case event := <-started:
			t.Errorf("%s began, too", event)
		case <-time.After(5 * time.Millisecond):
		}
	}
	expect("$1", "$2")
	close(free["$1"])
	expect()
	close(free["$2"])
	expect("$3", "$4")
	close(free["$3"])
	expect()
	close(free["$4"])
	expect("$5") // concerns all
	close(free["$5"])
	expect("$6")
	close(free["$6"])
	expect("$7") // concerns the sender of all others
	close(free["$7"])
	expect("$8", "$9", "$10")
	for _, event := range []id.EventID{"$8", "$9", "$10"} {
		close(free[event])
	}
	empty(t, l)
}

// TestBesideKeepsTheOrder: whatever events concern, and however often they are handled again, two that concern the same users never run at
// the same time, nor the later one first; no lane has more than its share of slots.
func TestBesideKeepsTheOrder(t *testing.T) {
	const events, share = 300, 4
	random := rand.New(rand.NewPCG(1, 2))
	concern := make([]touched, events)
	tries := make([]int, events)
	for i := range concern {
		for range random.IntN(3) {
			concern[i].users = append(concern[i].users, id.UserID(fmt.Sprint("@", random.IntN(12))))
		}
		concern[i].all = random.IntN(12) == 0
		tries[i] = random.IntN(12) / 10
	}
	var mu sync.Mutex
	over, active, beside := make([]bool, events), map[int64]bool{}, 0
	var left sync.WaitGroup
	left.Add(events)
	l := NewLanes("@usher:here", share*4, 0)
	go l.Run(t.Context(), handlerFunc(func(turn *Turn) (again time.Time) {
		n := turn.Event.Seq
		if !turn.Beside(concern[n].users, concern[n].all) {
			return again
		}
		mu.Lock()
		for i := range n {
			before := &Turn{Event: turn.Event, touches: &concern[i]}
			if !over[i] && (&Turn{touches: &concern[n]}).meets(before) {
				t.Errorf("%d %v runs before %d %v is over", n, concern[n], i, concern[i])
			}
		}
		active[n] = true
		beside = max(beside, len(active))
		mu.Unlock()
		time.Sleep(time.Duration(n%7) * 50 * time.Microsecond)
		mu.Lock()
		defer mu.Unlock()
		delete(active, n)
		if tries[n] > 0 {
			tries[n]--
			return time.Now().Add(time.Millisecond)
		}
		over[n] = true
		left.Done()
		return again
	}))
	l.Push(inbox("r", events)...)
	left.Wait()
	empty(t, l)
	if beside < 2 || beside > share {
		t.Errorf("%d ran side by side, want 2 to %d", beside, share)
	}
}
