package homeserver

import (
	"cmp"
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/tidwall/gjson"
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
	Creates CreateStore      // may be nil
	Now     func() time.Time // time.Now if nil
	Log     zerolog.Logger
}

// State shows rooms as the homeserver has them, and changes them. It caches what decisions asked for, no more: never
// a room's whole state or member list. The transaction stream drops what changed; the next decision fetches it anew,
// since an event in the stream may have lost state resolution.
type State struct {
	client *Client
	o      StateOptions

	mu    sync.Mutex
	rooms map[id.RoomID]*list.Element // of *cached
	used  *list.List                  // front: used last
	kept  int                         // member events in all of them

	counts      map[id.RoomID]*count
	collections map[id.RoomID]*collection
	spaces      map[id.RoomID][]id.RoomID // by child: who claims it
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
	if o.Now == nil {
		o.Now = time.Now
	}
	return &State{
		client: client, o: o, rooms: make(map[id.RoomID]*list.Element), used: list.New(),
		counts: make(map[id.RoomID]*count), collections: make(map[id.RoomID]*collection), spaces: make(map[id.RoomID][]id.RoomID),
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
	had, waits, starts := c.board(keys)
	s.mu.Unlock()
	s.client.counters.Cache(len(waits) == 0)
	s.start(ctx, c, starts)
	return s.land(ctx, c, keys, had, waits)
}

// land waits for fetches and makes a snapshot of the cache, or, where something was dropped meanwhile, of what was had
// and brought: nothing in it is older than the call.
func (s *State) land(ctx context.Context, c *cached, keys []room.Key, events map[room.Key]*room.Event, waits []*flight) (*room.Snapshot, error) {
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
	flights := make(map[room.Key]*flight, len(needs)+2)
	var starts []*flight
	for _, k := range append([]room.Key{createKey, room.MemberKey(viewer)}, needs...) {
		if flights[k] == nil {
			flights[k] = &flight{key: k, done: make(chan struct{})}
			starts = append(starts, flights[k])
		}
	}
	s.each(starts, func(f *flight) { s.fetch(ctx, r, viewer, f); close(f.done) })
	events := make(map[room.Key]*room.Event, len(flights))
	var failed error
	for k, f := range flights {
		<-f.done
		if f.err != nil {
			failed = f.err
			continue
		}
		events[k] = f.event
	}
	if failed != nil && !departed(events, viewer) {
		return nil, failed
	}
	return view(events, viewer)
}

// Act makes one change, once, without retries of its own. A success, or an outcome unknown, makes the cache forget the target's membership.
func (s *State) Act(ctx context.Context, e invites.Effect) error {
	switch e.Action {
	case room.Join:
		_, err := s.Join(ctx, e.Room.String(), e.Via, e.Performer, e.Reason)
		return err
	case room.Leave:
		e.Target = e.Performer
	}
	err := s.client.change(ctx, e)
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

// Resolve looks an alias up, and servers that know the room.
func (s *State) Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error) {
	return s.client.Alias(ctx, alias)
}

// Redacted tells whether an event has been redacted, read as in Snapshot (https://spec.matrix.org/latest/client-server-api/#redactions).
func (s *State) Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error) {
	raw, err := s.client.Event(ctx, r, event, "")
	if denied(err) && viewer != "" && s.client.CanAssert(viewer) {
		raw, err = s.client.Event(ctx, r, event, viewer)
	}
	if invites.HTTPStatus(err) == http.StatusForbidden {
		return false, invites.ErrNoView
	}
	return gjson.GetBytes(raw, "unsigned.redacted_because").Exists(), err
}
