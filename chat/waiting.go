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

// Bounds of the events that wait for their keys in a room.
const (
	maxKeylessOfSender = 100
	maxKeylessOfRoom   = 1000
)

// waitingForKeys keeps, for each room, the ids of events without their key, and of events behind these. The inbox has their content.
// They go back to their lane when a room key or their time comes. An event behind another goes on when that event does, so the cost of
// an event does not grow with the events that wait.
type waitingForKeys struct {
	lanes interface{ Push(...invites.Received) }

	mu    sync.Mutex
	rooms map[id.RoomID]*waitingRoom
}

// waitingRoom is the waiting events of a room.
type waitingRoom struct {
	list    []*waiter // by Seq
	senders map[id.UserID][]*waiter
	keyless int // events that wait for their key
}

// waiter is a waiting event.
type waiter struct {
	ev      invites.Received
	keyless bool // waits for its key, not only behind another event
	aside   bool // its time is over, so no event waits behind it
	lane    bool // in its lane again, or gone
	behind  *waiter
	holds   []*waiter // events that wait behind this one, and others
	timer   *time.Timer
}

func newWaitingForKeys(lanes interface{ Push(...invites.Received) }) *waitingForKeys {
	return &waitingForKeys{lanes: lanes, rooms: map[id.RoomID]*waitingRoom{}}
}

// blocked reports whether an event has to wait behind an earlier one, and keeps it if so.
func (w *waitingForKeys) blocked(ev invites.Received, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := w.rooms[ev.Room]
	if in == nil {
		return false
	}
	before := in.before(ev, now)
	if before == nil {
		return false
	}
	e := w.put(ev)
	in.setKeyless(e, false)
	e.lane = false
	if e.behind != before {
		e.behind = before
		before.holds = append(before.holds, e)
	}
	return true
}

// before returns the last event that an event has to wait behind, or nil.
func (in *waitingRoom) before(ev invites.Received, now time.Time) *waiter {
	earlier := in.senders[ev.Sender]
	i, _ := find(earlier, ev.Seq)
	for _, other := range slices.Backward(earlier[:i]) {
		if !other.aside {
			return other
		}
	}
	i, _ = find(in.list, ev.Seq)
	for _, other := range slices.Backward(in.list[:i]) { // received before
		if !now.Before(other.ev.ReceivedAt.Add(grace)) {
			return nil
		}
		if other.keyless {
			return other
		}
	}
	return nil
}

// wait keeps an event without its key, until the given time at the latest. It reports whether there was room for the event.
func (w *waitingForKeys) wait(ev invites.Received, now, until time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if in := w.rooms[ev.Room]; in != nil {
		if _, waits := find(in.list, ev.Seq); !waits && in.full(ev.Sender) {
			return false
		}
	}
	e := w.put(ev)
	w.rooms[ev.Room].setKeyless(e, true)
	e.lane, e.aside, e.behind = false, false, nil
	if end := ev.ReceivedAt.Add(grace); now.Before(end) && end.Before(until) {
		until = end
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer = time.AfterFunc(until.Sub(now), func() { w.timeOver(e) })
	return true
}

// full reports whether the room, or a sender there, has as many events without their keys as may wait.
func (in *waitingRoom) full(sender id.UserID) bool {
	if in.keyless >= maxKeylessOfRoom {
		return true
	}
	n := 0
	for _, e := range in.senders[sender] {
		if e.keyless {
			n++
		}
	}
	return n >= maxKeylessOfSender
}

// setAside keeps an event whose time is over until keys arrive for all rooms. The events behind it go on.
func (w *waitingForKeys) setAside(ev invites.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.put(ev)
	w.rooms[ev.Room].setKeyless(e, false)
	e.aside, e.lane, e.behind = true, false, nil
	w.goOn(e)
}

// put finds or makes the place of an event. w.mu is held.
func (w *waitingForKeys) put(ev invites.Received) *waiter {
	in := w.rooms[ev.Room]
	if in == nil {
		in = &waitingRoom{senders: map[id.UserID][]*waiter{}}
		w.rooms[ev.Room] = in
	}
	i, found := find(in.list, ev.Seq)
	if found {
		return in.list[i]
	}
	ev.Raw = nil // read from the inbox again when the event goes on
	e := &waiter{ev: ev}
	in.list = slices.Insert(in.list, i, e)
	i, _ = find(in.senders[ev.Sender], ev.Seq)
	in.senders[ev.Sender] = slices.Insert(in.senders[ev.Sender], i, e)
	return e
}

// find returns the place of an event in a list.
func find(list []*waiter, seq int64) (int, bool) {
	return slices.BinarySearchFunc(list, seq, func(e *waiter, seq int64) int { return cmp.Compare(e.ev.Seq, seq) })
}

// setKeyless notes whether an event waits for its key.
func (in *waitingRoom) setKeyless(e *waiter, keyless bool) {
	switch {
	case keyless && !e.keyless:
		in.keyless++
	case !keyless && e.keyless:
		in.keyless--
	}
	e.keyless = keyless
}

// leave takes an event out, and sends the events behind it back to their lane.
func (w *waitingForKeys) leave(ev invites.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := w.rooms[ev.Room]
	if in == nil {
		return
	}
	i, found := find(in.list, ev.Seq)
	if !found || in.list[i].ev.Event != ev.Event {
		return
	}
	e := in.list[i]
	if e.timer != nil {
		e.timer.Stop()
	}
	in.setKeyless(e, false)
	in.list = slices.Delete(in.list, i, i+1)
	i, _ = find(in.senders[ev.Sender], ev.Seq)
	if in.senders[ev.Sender] = slices.Delete(in.senders[ev.Sender], i, i+1); len(in.senders[ev.Sender]) == 0 {
		delete(in.senders, ev.Sender)
	}
	if len(in.list) == 0 {
		delete(w.rooms, ev.Room)
	}
	e.lane = true
	w.goOn(e)
}

// timeOver sends an event back to its lane, and the events behind it.
func (w *waitingForKeys) timeOver(e *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.push(e)
	w.goOn(e)
}

// goOn sends the events behind an event back to their lane. w.mu is held.
func (w *waitingForKeys) goOn(e *waiter) {
	behind := e.holds
	e.holds = nil
	for _, other := range behind {
		if other.behind == e {
			other.behind = nil
			w.push(other)
		}
	}
}

// release sends the events of a room, of all rooms for an empty id, back to their lanes, in order. An event comes back here
// if it still can't go on.
func (w *waitingForKeys) release(r id.RoomID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, in := range w.rooms {
		if r == "" || r == name {
			for _, e := range in.list {
				w.push(e)
			}
		}
	}
}

// push sends an event back to its lane. w.mu is held.
func (w *waitingForKeys) push(e *waiter) {
	if !e.lane {
		e.lane = true
		w.lanes.Push(e.ev)
	}
}
