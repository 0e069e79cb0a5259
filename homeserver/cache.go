package homeserver

import (
	"container/list"
	"errors"
	"maps"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// cached is what is known of one room, read as the bot. State.mu guards it.
type cached struct {
	room    id.RoomID
	events  map[room.Key]*room.Event // nil: the room has no such event
	fetches map[room.Key]*fetch      // fetches under way
	members int                      // member events in events
	bytes   int                      // of the events
	shown   map[room.Key]bool        // keys asked for lately
	snap    *room.Snapshot           // of those in events; nil when one of them changed
	expires time.Time
	outside bool // the bot is not in the room, as far as known
}

// fetch is one fetch, shared by all who want its key. An invalidation takes it off the room: what it brings may be
// older than that, so it serves those who waited already and is not kept.
type fetch struct {
	key   room.Key
	done  chan struct{}
	event *room.Event
	err   error
}

var createKey = room.Key{Type: room.TypeCreate}

// split finds the fetches that bring what is missing of the keys, new ones where none is under way, and what was had.
func (c *cached) split(keys []room.Key) (had map[room.Key]*room.Event, waits, starts []*fetch) {
	had = make(map[room.Key]*room.Event, len(keys))
	for _, k := range keys {
		if e, known := c.events[k]; known {
			had[k] = e
			continue
		}
		f := c.fetches[k]
		if f == nil {
			f = &fetch{key: k, done: make(chan struct{})}
			c.fetches[k] = f
			starts = append(starts, f)
		}
		waits = append(waits, f)
	}
	return had, waits, starts
}

// Changed makes the cache forget one piece of a room's state. It is called for every state event in the stream.
func (s *State) Changed(r id.RoomID, k room.Key) {
	if k == room.MemberKey(s.client.user) {
		s.counts.forget(r)
		s.collections.forget(r)
	}
	if k.Type == room.TypeMember {
		s.counts.changed(r)
	}
	s.collections.changed(r, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.rooms[r]
	if found == nil {
		return
	}
	c := found.Value.(*cached)
	if k == room.MemberKey(s.client.user) || k == createKey {
		s.remove(found)
		return
	}
	delete(c.fetches, k)
	c.drop(k)
	c.discard(s, k)
}

// discard forgets an event. s counts.
func (c *cached) discard(s *State, k room.Key) {
	e, known := c.events[k]
	if !known {
		return
	}
	if k.Type == room.TypeMember {
		c.members--
		s.kept--
	}
	c.bytes -= weight(e)
	s.bytes -= weight(e)
	delete(c.events, k)
}

// weight is about how many bytes an event takes that is kept.
func weight(e *room.Event) int {
	const overhead = 256
	if e == nil {
		return overhead
	}
	return overhead + len(e.Content)
}

// Invalidate makes the cache forget a room: after a gap, or when the homeserver refuses what was predicted to pass.
func (s *State) Invalidate(r id.RoomID) {
	s.counts.forget(r)
	s.collections.forget(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.rooms[r]; found != nil {
		s.remove(found)
	}
}

// InvalidateAll makes the cache forget every room.
func (s *State) InvalidateAll() {
	s.counts.forgetAll()
	s.collections.forgetAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.used.Len() > 0 {
		s.remove(s.used.Back())
	}
}

// Forget makes the cache forget an event that may have been redacted, which has another content then. The events that are being fetched
// are not known yet, so they are all fetched again. It returns the pieces of state which the event may be: those known to be, and those of
// suspects of which the cache knows nothing.
func (s *State) Forget(r id.RoomID, event id.EventID, suspects ...room.Key) (may []room.Key) {
	s.collections.redacted(r, event)
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.rooms[r]
	if found == nil {
		return suspects
	}
	c := found.Value.(*cached)
	if c.outside {
		return nil
	}
	for _, k := range suspects {
		if c.misses(k) {
			may = append(may, k)
		}
	}
	maps.DeleteFunc(c.fetches, func(k room.Key, _ *fetch) bool { return k != createKey })
	for k, e := range c.events {
		if e != nil && e.ID == event && k != createKey {
			may = append(may, k)
			c.discard(s, k)
			c.snap = nil
		}
	}
	return may
}

// room returns what is known of a room, an empty entry if nothing.
func (s *State) room(r id.RoomID) *cached {
	if found := s.rooms[r]; found != nil {
		s.used.MoveToFront(found)
		return found.Value.(*cached)
	}
	c := &cached{room: r}
	s.reset(c)
	s.rooms[r] = s.used.PushFront(c)
	if s.used.Len() > s.o.Rooms {
		s.remove(s.used.Back())
	}
	return c
}

func (s *State) remove(e *list.Element) {
	c := e.Value.(*cached)
	s.reset(c) // with its fetches: what they bring is for those who wait
	s.bytes -= c.bytes
	delete(s.rooms, c.room)
	s.used.Remove(e)
}

// reset forgets all but the create event.
func (s *State) reset(c *cached) {
	create := c.events[createKey]
	s.kept -= c.members
	s.bytes -= c.bytes
	c.events, c.fetches, c.shown = make(map[room.Key]*room.Event), make(map[room.Key]*fetch), make(map[room.Key]bool)
	c.members, c.bytes, c.snap, c.outside, c.expires = 0, 0, nil, false, s.o.Now().Add(s.o.TTL)
	if create != nil {
		c.store(s, createKey, create)
	}
}

// outsideTTL is how long a room is believed to be closed to the bot. The event of the bot's own membership ends that at once.
const outsideTTL = 10 * time.Second

// keep stores what a fetch brought, unless it was taken off the room meanwhile.
func (s *State) keep(c *cached, f *fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	if c.fetches[f.key] != f {
		return
	}
	delete(c.fetches, f.key)
	gone := (f.key == room.MemberKey(s.client.user) && membership(f.event) != "join") || (f.key == createKey && f.event == nil)
	switch {
	case errors.Is(f.err, invites.ErrNoView), f.err == nil && gone:
		s.reset(c)
		c.outside, c.expires = true, s.o.Now().Add(outsideTTL)
	case f.err == nil:
		if f.key.Type == room.TypeMember {
			s.bound()
			c.members++
			s.kept++
		}
		c.store(s, f.key, f.event)
		c.drop(f.key)
		for s.bytes > s.o.Bytes && s.used.Len() > 0 { // this room in the end: who waits is served all the same
			s.remove(s.used.Back())
		}
	}
}

// store keeps an event. s counts.
func (c *cached) store(s *State, k room.Key, e *room.Event) {
	c.events[k] = e
	c.bytes += weight(e)
	s.bytes += weight(e)
}

// bound has the rooms used least forget their members when there are too many of them in all.
func (s *State) bound() {
	if s.kept < s.o.Members {
		return
	}
	own := room.MemberKey(s.client.user)
	for e := s.used.Back(); e != nil && s.kept > s.o.Members*3/4; e = e.Prev() {
		c := e.Value.(*cached)
		for k := range c.events {
			if k.Type == room.TypeMember && k != own {
				c.discard(s, k)
			}
		}
	}
}

// drop drops the snapshot if it shows the key.
func (c *cached) drop(k room.Key) {
	if c.shown[k] {
		c.snap = nil
	}
}

func (c *cached) misses(k room.Key) bool {
	_, known := c.events[k]
	return !known
}

// hides tells whether the snapshot at hand, if any, says nothing of a key.
func (c *cached) hides(k room.Key) bool {
	if c.snap == nil {
		return true
	}
	_, known := c.snap.Event(k)
	return !known
}

// maxShown bounds how many keys a snapshot carries along for those who asked for them before.
const maxShown = 8

// snapshot makes a snapshot of the keys, which are there. It shows what was asked for lately too, so that the next decision
// finds it made: a warm one parses nothing. It does not show all, since each change of one costs parsing every one.
func (c *cached) snapshot(keys []room.Key) *room.Snapshot {
	if len(c.shown) > maxShown {
		clear(c.shown)
	}
	for _, k := range keys {
		c.shown[k] = true
	}
	events := make(map[room.Key]*room.Event, len(c.shown))
	for k := range c.shown {
		if e, known := c.events[k]; known {
			events[k] = e
		}
	}
	c.snap = room.NewSnapshot(room.State{Events: events})
	return c.snap
}

// membership reads a member event; "" where there is none.
func membership(e *room.Event) string {
	if e == nil {
		return ""
	}
	return exactjson.Text(e.Content, "membership")
}
