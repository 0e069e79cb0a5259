package homeserver

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"net/http"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// collections remembers for each room which state Collect has handed out, and which of it has changed since.
type collections struct {
	mu    sync.Mutex
	rooms map[id.RoomID]*collection
}

// collection is the state of one room that Collect has handed out.
type collection struct {
	types   []string
	dirty   map[room.Key]bool // changed since
	whole   bool              // all state of the types was handed out
	reading bool              // a call of Collect is under way
	ids     map[uint64]bool   // hashes of the ids of the events that were handed out
	expires time.Time
}

// idSeed is the seed of hashes of event ids: nobody can choose ids with the same hash.
var idSeed = maphash.MakeSeed()

// Bounds of collections: the number of changes that are read one by one, and the time after which all state is read again.
const (
	maxDirty      = 50
	collectionTTL = 24 * time.Hour
)

// begin returns the keys to read again, or whole if all state of the types has to be read.
func (c *collections) begin(r id.RoomID, types []string, have bool, now time.Time) (of *collection, dirty map[room.Key]bool, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of = c.rooms[r]
	whole = !have || of == nil || !of.whole || len(of.dirty) > maxDirty || now.After(of.expires)
	if whole {
		of = &collection{types: types, expires: now.Add(collectionTTL), ids: map[uint64]bool{}}
		c.rooms[r] = of
	}
	of.reading = true
	dirty, of.dirty = of.dirty, map[room.Key]bool{}
	return of, dirty, whole
}

// end notes which events of a collection were handed out, and whether all of them were.
func (c *collections) end(of *collection, whole bool, changes []invites.StateChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of.whole, of.reading = whole, false
	for _, change := range changes {
		if change.Event != nil {
			of.ids[maphash.String(idSeed, string(change.Event.ID))] = true
		}
	}
}

// redacted forgets the collection of a room that may have handed an event out. Redactions of other events, which any member may send, cost nothing.
func (c *collections) redacted(r id.RoomID, event id.EventID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if of := c.rooms[r]; of != nil && (of.reading || of.ids[maphash.String(idSeed, string(event))]) {
		delete(c.rooms, r)
	}
}

// changed notes a change of a piece of state. Beyond maxDirty, changes are not read one by one.
func (c *collections) changed(r id.RoomID, k room.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.rooms[r]
	if of == nil || !slices.Contains(of.types, k.Type) {
		return
	}
	if k.StateKey == "." || k.StateKey == ".." { // no path leads to it, so all is read again
		delete(c.rooms, r)
	} else if len(of.dirty) <= maxDirty {
		of.dirty[k] = true
	}
}

func (c *collections) forget(r id.RoomID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rooms, r)
}

func (c *collections) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.rooms)
}

// Collect returns the state events of some types in a room that the bot is in: all of them where whole is true, else the changes since
// the last call for the same room, whose result the caller must have. Calls for one room must not overlap.
func (s *State) Collect(ctx context.Context, r id.RoomID, types []string, have bool) (changes []invites.StateChange, whole bool, err error) {
	if _, err := s.snapshotAsBot(ctx, r, nil, false); err != nil {
		return nil, false, err // homeservers show an old state to a user who has left
	}
	of, dirty, whole := s.collections.begin(r, types, have, s.o.Now())
	if whole {
		changes, err = s.client.StateOf(ctx, r, types)
		s.collections.end(of, err == nil, changes)
		return changes, true, err
	}
	for k := range dirty {
		f := &fetch{key: k}
		s.read(ctx, r, "", f)
		if f.err != nil {
			s.collections.end(of, false, nil) // the changes that are lost could be any
			return nil, false, f.err
		}
		changes = append(changes, invites.StateChange{Key: k, Event: f.event})
	}
	s.collections.end(of, true, changes)
	return changes, false, nil
}

// StateOf returns the state events of a room that have one of the types, as the bot sees them. It holds one other event at a time.
func (c *Client) StateOf(ctx context.Context, r id.RoomID, types []string) (found []invites.StateChange, err error) {
	_, err = c.do(ctx, request{
		name: "full_state", method: http.MethodGet, path: path("v3", "rooms", r, "state"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			return nil, eachItem(json.NewDecoder(resp.Body), func(raw json.RawMessage) error {
				e, err := parseStateEvent(raw)
				if err == nil && slices.Contains(types, e.Key.Type) {
					found = append(found, invites.StateChange{Key: e.Key, Event: &e.Event})
				}
				return nil
			})
		},
	})
	return found, err
}
