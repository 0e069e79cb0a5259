package homeserver

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Content returns the content of a room's state event with an empty state key as the bot sees it, nil where the room has
// none. It comes from the cache, as Snapshot's does, with the same errors.
func (s *State) Content(ctx context.Context, r id.RoomID, eventType string) (json.RawMessage, error) {
	k := room.Key{Type: eventType}
	if event, known := s.known(r, k); known {
		return contentOf(event), nil
	}
	snap, err := s.snapshotAsBot(ctx, r, []room.Key{k}, false)
	if err != nil {
		return nil, err
	}
	event, _ := snap.Event(k)
	return contentOf(event), nil
}

func contentOf(e *room.Event) json.RawMessage {
	if e == nil {
		return nil
	}
	return e.Content
}

// Members returns the users with a membership, such as "join", in a room as the bot sees it. It is not cached.
func (s *State) Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error) {
	return s.client.Members(ctx, r, membership)
}

// known returns a state event if the cache has it: no snapshot is made for one.
func (s *State) known(r id.RoomID, k room.Key) (e *room.Event, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.room(r)
	if s.o.Now().After(c.expires) || c.misses(createKey) || c.misses(room.MemberKey(s.client.user)) {
		return nil, false
	}
	e, known = c.events[k]
	if known {
		s.client.counters.Cache(true)
	}
	return e, known
}
