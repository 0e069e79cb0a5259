package chat

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// grace is how long an event without its key holds up its whole room: keys mostly come a moment before or after. Later the event
// holds up only the later events of its own sender: no user can stop a room for others.
const grace = 5 * time.Second

// Bounds of the events that wait in one room, and of one sender's among them. Beyond these bounds, an event without its key counts as
// unreadable at once, and an event of the same sender no longer waits behind it.
const (
	mostWaiting       = 1000
	mostWaitingOfUser = 100
)

// waitingForKeys keeps, for each room, the ids of events without their key, and of events behind these. The inbox has their content.
// They go back to their lane when a room key or their time comes.
type waitingForKeys struct {
	lanes interface{ Push(...invites.Received) }

	mu    sync.Mutex
	rooms map[id.RoomID][]*waiter // by Seq
}

// waiter is a waiting event.
type waiter struct {
	ev      invites.Received
	keyless bool // waits for its key, not only behind another event
	aside   bool // its time is over, so no event waits behind it
	lane    bool // in its lane again
	timer   *time.Timer
}

func newWaitingForKeys(lanes interface{ Push(...invites.Received) }) *waitingForKeys {
	return &waitingForKeys{lanes: lanes, rooms: map[id.RoomID][]*waiter{}}
}

// blocked reports whether an event has to wait behind an earlier one, and keeps it if so.
func (w *waitingForKeys) blocked(ev invites.Received, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full(ev) {
		return false
	}
	for _, other := range w.rooms[ev.Room] {
		if other.aside {
			continue
		}
		holds := other.ev.Sender == ev.Sender || other.keyless && now.Before(other.ev.ReceivedAt.Add(grace))
		if holds && other.ev.Seq < ev.Seq {
			e := w.put(ev)
			e.keyless, e.lane = false, false
			return true
		}
	}
	return false
}

// full reports whether so many events wait that one more may not. An event that waits already may go on to wait. w.mu is held.
func (w *waitingForKeys) full(ev invites.Received) bool {
	list := w.rooms[ev.Room]
	if len(list) < mostWaitingOfUser {
		return false
	}
	theirs := 0
	for _, e := range list {
		if e.ev.Event == ev.Event {
			return false
		}
		if e.ev.Sender == ev.Sender {
			theirs++
		}
	}
	return len(list) >= mostWaiting || theirs >= mostWaitingOfUser
}

// wait keeps an event without its key, until the given time at the latest, and reports whether it does: not where too many wait.
func (w *waitingForKeys) wait(ev invites.Received, now, until time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full(ev) {
		return false
	}
	e := w.put(ev)
	e.keyless, e.lane = true, false
	if end := ev.ReceivedAt.Add(grace); now.Before(end) && end.Before(until) {
		until = end
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer = time.AfterFunc(until.Sub(now), func() { w.over(e) })
	return true
}

// over sends an event whose time is over back to its lane, and the events that only its grace held.
func (w *waitingForKeys) over(e *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.push(e)
	w.goOn(e.ev.Room, time.Now())
}

// setAside keeps an event whose time is over until keys arrive for all rooms. The events behind it go on.
func (w *waitingForKeys) setAside(ev invites.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.put(ev)
	e.keyless, e.aside, e.lane = false, true, false
	w.goOn(ev.Room, time.Now())
}

// put finds or makes the place of an event. w.mu is held.
func (w *waitingForKeys) put(ev invites.Received) *waiter {
	list := w.rooms[ev.Room]
	i, found := slices.BinarySearchFunc(list, ev.Seq, func(e *waiter, seq int64) int { return cmp.Compare(e.ev.Seq, seq) })
	if !found {
		ev.Raw = nil // read from the inbox again when the event goes on
		w.rooms[ev.Room] = slices.Insert(list, i, &waiter{ev: ev})
	}
	return w.rooms[ev.Room][i]
}

// leave takes an event out, and sends the events back to their lane that waited behind it alone.
func (w *waitingForKeys) leave(ev invites.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.rooms[ev.Room]
	i := slices.IndexFunc(list, func(e *waiter) bool { return e.ev.Event == ev.Event })
	if i < 0 {
		return
	}
	if timer := list[i].timer; timer != nil {
		timer.Stop()
	}
	if w.rooms[ev.Room] = slices.Delete(list, i, i+1); len(list) == 1 {
		delete(w.rooms, ev.Room)
	}
	w.goOn(ev.Room, time.Now())
}

// goOn sends the events of a room back to their lane that wait behind no event any more. Events without a key stay, and events set aside.
// w.mu is held.
func (w *waitingForKeys) goOn(r id.RoomID, now time.Time) {
	held, senders := false, map[id.UserID]bool{}
	for _, e := range w.rooms[r] {
		if e.aside {
			continue
		}
		if !e.keyless && !held && !senders[e.ev.Sender] {
			w.push(e)
		}
		senders[e.ev.Sender] = true
		held = held || e.keyless && now.Before(e.ev.ReceivedAt.Add(grace))
	}
}

// release sends the events of a room, of all rooms for an empty id, back to their lanes, in order. An event comes back here
// if it still can't go on.
func (w *waitingForKeys) release(r id.RoomID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for in, list := range w.rooms {
		if r != "" && in != r {
			continue
		}
		for _, e := range list {
			w.push(e)
		}
	}
}

// push sends an event back to its lane, unless it is there. w.mu is held.
func (w *waitingForKeys) push(e *waiter) {
	if !e.lane {
		e.lane = true
		w.lanes.Push(e.ev)
	}
}
