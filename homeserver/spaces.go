package homeserver

import (
	"context"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// spaces remembers which spaces claim a room as their child.
type spaces struct {
	mu      sync.Mutex
	byChild map[id.RoomID][]id.RoomID
}

// maxSpaces bounds the number of spaces that may claim one room, and so the state that a decision reads of it. Further claims do not
// count. Anybody may make claims: the bound is far beyond the number of spaces that somebody could bring the bot into, so that nobody
// can keep a room from the policy of its own space.
const maxSpaces = 4096

// Spaces returns the rooms that claimed a room as their child. Their state tells whether they still do.
func (s *spaces) Spaces(r id.RoomID) []id.RoomID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byChild[r]
}

// Link remembers claims of spaces and returns the new ones.
func (s *spaces) Link(claims []invites.SpaceChild) (fresh []invites.SpaceChild) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		if known := s.byChild[c.Child]; len(known) < maxSpaces && !slices.Contains(known, c.Space) {
			s.byChild[c.Child] = append(slices.Clip(known), c.Space)
			fresh = append(fresh, c)
		}
	}
	return fresh
}

// Children returns the claims that a room makes if it is a space. The bot asks for them when it joins a room.
func (s *State) Children(ctx context.Context, r id.RoomID) ([]invites.SpaceChild, error) {
	snap, err := s.snapshotAsBot(ctx, r, nil, false)
	if err != nil {
		return nil, err
	}
	if create, _ := snap.Event(createKey); create == nil || exactjson.Text(create.Content, "type") != "m.space" {
		return nil, nil
	}
	events, err := s.client.StateOf(ctx, r, []string{room.TypeSpaceChild})
	children := make([]invites.SpaceChild, len(events))
	for i, e := range events {
		children[i] = invites.SpaceChild{Space: r, Child: id.RoomID(e.Key.StateKey)}
	}
	return children, err
}
