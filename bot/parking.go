package bot

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// grace is how long an event without its key holds up its whole room: keys mostly come a moment before or after. Later it
// holds up only what its own sender says after it, so that nobody can stop a room for others.
const grace = 5 * time.Second

// parking keeps, for each room, the events that can't be opened yet or wait behind one that can't. The inbox has them
// all; this is only who waits for what. What is parked goes back to its lane when a key or its time comes.
type parking struct {
	push func(invites.Received)

	mu    sync.Mutex
	rooms map[id.RoomID][]*parked // by Seq
}

type parked struct {
	ev      invites.Received
	keyless bool // it waits for its key, not only behind another
	lane    bool // in its lane again
	timer   *time.Timer
}

func newParking(push func(invites.Received)) *parking {
	return &parking{push: push, rooms: map[id.RoomID][]*parked{}}
}

// blocked parks an event that has to wait behind an earlier one, and reports whether it has to.
func (p *parking) blocked(ev invites.Received, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.rooms[ev.Room] {
		holds := other.ev.Sender == ev.Sender || other.keyless && now.Before(other.ev.ReceivedAt.Add(grace))
		if holds && other.ev.Seq < ev.Seq {
			e := p.put(ev)
			e.keyless, e.lane = false, false
			return true
		}
	}
	return false
}

// park keeps an event whose key has not come, until the given time at the latest.
func (p *parking) park(ev invites.Received, now, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.put(ev)
	e.keyless, e.lane = true, false
	if end := ev.ReceivedAt.Add(grace); now.Before(end) && end.Before(until) {
		until = end
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer = time.AfterFunc(until.Sub(now), func() { p.release(ev.Room) })
}

// put finds or makes an event's place. p.mu is held.
func (p *parking) put(ev invites.Received) *parked {
	list := p.rooms[ev.Room]
	i, found := slices.BinarySearchFunc(list, ev.Seq, func(e *parked, seq int64) int { return cmp.Compare(e.ev.Seq, seq) })
	if !found {
		ev.Raw = nil // the inbox has it, from which it is read when it goes on
		p.rooms[ev.Room] = slices.Insert(list, i, &parked{ev: ev})
	}
	return p.rooms[ev.Room][i]
}

// holds reports whether an event is parked.
func (p *parking) holds(ev invites.Received) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.rooms[ev.Room], func(e *parked) bool { return e.ev.Event == ev.Event })
}

// leave takes an event out, and lets those go that may have waited behind it.
func (p *parking) leave(ev invites.Received) {
	p.mu.Lock()
	list := p.rooms[ev.Room]
	i := slices.IndexFunc(list, func(e *parked) bool { return e.ev.Event == ev.Event })
	if i < 0 {
		p.mu.Unlock()
		return
	}
	if timer := list[i].timer; timer != nil {
		timer.Stop()
	}
	if p.rooms[ev.Room] = slices.Delete(list, i, i+1); len(list) == 1 {
		delete(p.rooms, ev.Room)
	}
	p.mu.Unlock()
	p.release(ev.Room)
}

// release sends what is parked of a room back to its lane, in order; all rooms for an empty id. What still can't go on is
// parked again.
func (p *parking) release(r id.RoomID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for in, list := range p.rooms {
		if r != "" && in != r {
			continue
		}
		for _, e := range list {
			if !e.lane {
				e.lane = true
				p.push(e.ev)
			}
		}
	}
}
