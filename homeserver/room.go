package homeserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/tidwall/gjson"
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

// Members returns the users with a membership, such as "join", in a room
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmembers).
func (s *State) Members(ctx context.Context, r id.RoomID, membership string) (users []id.UserID, err error) {
	if membership == "join" { // answered at once by every homeserver, while the general question may wait behind its /sync
		body, err := s.client.do(ctx, request{name: "joined_members", method: http.MethodGet, path: path("v3", "rooms", r, "joined_members")})
		gjson.GetBytes(body, "joined").ForEach(func(user, _ gjson.Result) bool {
			users = append(users, id.UserID(user.Str))
			return true
		})
		return users, err
	}
	body, err := s.client.do(ctx, request{
		name: "members", method: http.MethodGet, path: path("v3", "rooms", r, "members"), query: url.Values{"membership": {membership}},
	})
	for _, event := range gjson.GetBytes(body, "chunk").Array() {
		if user := event.Get("state_key").Str; user != "" && event.Get("content.membership").Str == membership {
			users = append(users, id.UserID(user))
		}
	}
	return users, err
}
