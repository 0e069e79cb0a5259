package chat

import (
	"context"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Bounds of one lane, so that a room whose events take long fills the memory of no other room.
const (
	mostInLane = 200 // waiting events; more stay in the inbox
	lowInLane  = 100 // so many or fewer have the feed read the lane's next events
)

// left is the events of one lane that are in the inbox only.
type left struct {
	first int64 // the first of them had a Seq above
	after int64 // they have a Seq above; the feed has brought those between
	more  bool  // events came during a read
}

// push hands events to their lanes, and leaves those of a full lane in the inbox. f.mu is held.
func (f *Feed) push(events []invites.Received) {
	for _, ev := range events {
		key := f.lanes.laneOf(ev)
		of := f.over[key]
		switch {
		case of == nil && f.lanes.length(key) < mostInLane, of != nil && ev.Seq <= of.first:
			f.lanes.Push(ev)
		case of == nil:
			f.over[key] = &left{first: ev.Seq - 1, after: ev.Seq - 1, more: true}
			f.lanes.setShort(key, true)
		case ev.Seq > of.after:
			of.more = true
		}
	}
}

// fillLanes brings the next events of lanes that have left some in the inbox and are nearly through.
func (f *Feed) fillLanes(ctx context.Context) error {
	f.mu.Lock()
	keys := slices.Collect(maps.Keys(f.over))
	f.mu.Unlock()
	for _, key := range keys {
		for f.lanes.length(key) <= lowInLane {
			if again, err := f.fillLane(ctx, key); err != nil {
				return err
			} else if !again {
				break
			}
		}
	}
	return nil
}

// fillLane reads one page for a lane. It reports whether the inbox may have more for it.
func (f *Feed) fillLane(ctx context.Context, key laneKey) (again bool, err error) {
	f.mu.Lock()
	of := f.over[key]
	if of == nil {
		f.mu.Unlock()
		return false, nil
	}
	of.more = false
	after := of.after
	f.mu.Unlock()
	page, err := f.inbox.WaitingIn(ctx, key.room, after, mostInLane-lowInLane)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over[key] != of {
		return false, nil // Recover was called meanwhile
	}
	if len(page) > 0 {
		of.after = page[len(page)-1].Seq
	}
	for _, ev := range page {
		if f.lanes.laneOf(ev) == key { // the room has another lane
			f.lanes.Push(ev)
		}
	}
	if len(page) < mostInLane-lowInLane && !of.more {
		delete(f.over, key)
		f.lanes.setShort(key, false)
		return false, nil
	}
	return true, nil
}

// length returns how many events wait in a lane.
func (l *Lanes) length(key laneKey) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in := l.lanes[key]; in != nil {
		return len(in.queue)
	}
	return 0
}

// setShort notes whether a lane has events in the inbox only: it signals refill when it is nearly through.
func (l *Lanes) setShort(key laneKey, short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !short {
		delete(l.short, key)
		return
	}
	l.short[key] = true
}

// RoomBacklog is the part of the inbox with the events of one room.
type RoomBacklog interface {
	// WaitingIn returns up to limit unhandled events of a room with a Seq above seq, by Seq.
	WaitingIn(ctx context.Context, r id.RoomID, seq int64, limit int) ([]invites.Received, error)
}
