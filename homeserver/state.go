package homeserver

import (
	"cmp"
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// CreateStore keeps create events over restarts: they never change.
type CreateStore interface {
	// CreateEvent returns the raw create event of a room, or nil or invites.ErrNotFound where it has none.
	CreateEvent(ctx context.Context, r id.RoomID) (json.RawMessage, error)
	// SaveCreateEvent keeps it.
	SaveCreateEvent(ctx context.Context, r id.RoomID, raw json.RawMessage) error
}

// StateOptions tunes the state cache.
type StateOptions struct {
	TTL     time.Duration    // how long a room's state is believed without a word from the homeserver; 1 h if 0
	Rooms   int              // rooms kept; 1024 if 0
	Members int              // member events kept, of all rooms together; 16384 if 0
	Bytes   int              // of the events kept, of all rooms together; 64 MiB if 0
	Creates CreateStore      // may be nil
	Now     func() time.Time // time.Now if nil
	Log     zerolog.Logger
}

// State shows rooms as the homeserver has them, and changes them. It caches what decisions asked for, no more: never
// a room's whole state or member list. The transaction stream drops what changed; the next decision fetches it anew,
// since an event in the stream may have lost state resolution.
type State struct {
	records // reads events that are not cached
	spaces  // which space claims which room

	o           StateOptions
	counts      counts
	collections collections

	mu    sync.Mutex
	rooms map[id.RoomID]*list.Element // of *cached
	used  *list.List                  // front: used last
	kept  int                         // member events in all of them
	bytes int                         // of the events in all of them
}

// NewState makes an empty cache.
func NewState(client *Client, o StateOptions) *State {
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	if o.Rooms == 0 {
		o.Rooms = 1024
	}
	if o.Members == 0 {
		o.Members = 16384
	}
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &State{
		records: records{client}, spaces: spaces{byChild: map[id.RoomID][]id.RoomID{}}, o: o,
		counts: counts{rooms: map[id.RoomID]*count{}}, collections: collections{rooms: map[id.RoomID]*collection{}},
		rooms: make(map[id.RoomID]*list.Element), used: list.New(),
	}
}

// Snapshot returns the known state of a room, with at least needs in it, read as the bot where it is in the room, else as viewer by
// identity assertion, else invites.ErrNoView. fresh bypasses the cache. Only reads as the bot are cached.
func (s *State) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	snap, err := s.snapshotAsBot(ctx, r, needs, fresh)
	if !errors.Is(err, invites.ErrNoView) || viewer == "" || viewer == s.client.user || !s.client.CanAssert(viewer) {
		return snap, err
	}
	return s.snapshotAs(ctx, r, viewer, needs)
}

func (s *State) snapshotAsBot(ctx context.Context, r id.RoomID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	s.mu.Lock()
	c := s.room(r)
	if fresh || s.o.Now().After(c.expires) {
		s.reset(c)
	}
	if c.outside || !slices.ContainsFunc(needs, c.hides) && c.snap != nil {
		defer s.mu.Unlock()
		s.client.counters.Cache(true)
		if c.outside {
			return nil, invites.ErrNoView
		}
		return c.snap, nil
	}
	keys := append([]room.Key{createKey, room.MemberKey(s.client.user)}, needs...)
	had, waits, starts := c.split(keys)
	s.mu.Unlock()
	s.client.counters.Cache(len(waits) == 0)
	s.start(ctx, c, starts)
	return s.await(ctx, c, keys, had, waits)
}

// await waits for fetches and makes a snapshot of the cache, or, where something was dropped meanwhile, of what was had
// and brought: nothing in it is older than the call.
func (s *State) await(ctx context.Context, c *cached, keys []room.Key, events map[room.Key]*room.Event, waits []*fetch) (*room.Snapshot, error) {
	var failed error
	for _, f := range waits {
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err != nil {
			failed = f.err
			continue
		}
		events[f.key] = f.event
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.outside || departed(events, s.client.user):
		return nil, invites.ErrNoView // what else went wrong may come of it: Dendrite answers with other events then
	case failed != nil:
		return nil, failed
	}
	if slices.ContainsFunc(keys, c.misses) {
		return view(events, s.client.user)
	}
	return c.snapshot(keys), nil
}

// view makes a snapshot of state that a user read, if it is the current one: to somebody who is not in the room,
// homeservers show it as it was when they left or were invited, unless they never were there and the world may read it.
func view(events map[room.Key]*room.Event, reader id.UserID) (*room.Snapshot, error) {
	if events[createKey] == nil || departed(events, reader) {
		return nil, invites.ErrNoView
	}
	return room.NewSnapshot(room.State{Events: events}), nil
}

// departed tells whether the state says that its reader is not in the room but has to do with it.
func departed(events map[room.Key]*room.Event, reader id.UserID) bool {
	own := events[room.MemberKey(reader)]
	return own != nil && membership(own) != "join"
}

func (s *State) snapshotAs(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key) (*room.Snapshot, error) {
	fetches := make(map[room.Key]*fetch, len(needs)+2)
	var starts []*fetch
	for _, k := range append([]room.Key{createKey, room.MemberKey(viewer)}, needs...) {
		if fetches[k] == nil {
			fetches[k] = &fetch{key: k, done: make(chan struct{})}
			starts = append(starts, fetches[k])
		}
	}
	each(starts, func(f *fetch) { s.read(ctx, r, viewer, f); close(f.done) })
	events := make(map[room.Key]*room.Event, len(fetches))
	var failed error
	for k, f := range fetches {
		<-f.done
		if f.err != nil {
			failed = f.err
			continue
		}
		events[k] = f.event
	}
	if errors.Is(failed, invites.ErrNoView) {
		failed = s.confirm(ctx, r, viewer)
	}
	if failed != nil && !departed(events, viewer) {
		return nil, failed
	}
	return view(events, viewer)
}

// Act makes one change, once, without retries of its own. A success, or an outcome unknown, makes the cache forget the target's membership.
func (s *State) Act(ctx context.Context, e invites.Effect) (err error) {
	defer func() { s.client.counters.Act(string(e.Action), err) }()
	if e.Action == room.Join {
		_, err = s.Join(ctx, e.Room.String(), e.Via, e.Performer, e.Reason)
		return err
	}
	r, err := s.client.change(e)
	if err != nil {
		return err
	}
	if e.Action == room.Leave {
		e.Target = e.Performer
	}
	_, err = s.client.do(ctx, r)
	if !invites.IsClass(err, invites.ClassRefused, invites.ClassLater, invites.ClassStopped) {
		s.Changed(e.Room, room.MemberKey(e.Target))
	}
	return err
}

// Join joins a room, by id or alias, as a user (empty: the bot) with the help of the servers named, and returns its id.
func (s *State) Join(ctx context.Context, roomOrAlias string, via []string, as id.UserID, reason string) (id.RoomID, error) {
	joined, err := s.client.join(ctx, roomOrAlias, via, as, reason)
	r := joined
	if r == "" {
		r = id.RoomID(roomOrAlias)
	}
	s.Changed(r, room.MemberKey(cmp.Or(as, s.client.user)))
	return joined, err
}
