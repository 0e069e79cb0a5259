package homeserver

import (
	"context"
	"errors"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// spaces remembers which spaces a room names as its own. Anybody may claim a room as the child of a space, so claims are not kept: whoever
// wants to know asks the state of the named spaces whether they claim the room.
type spaces struct {
	mu      sync.Mutex
	byChild map[id.RoomID][]id.RoomID
	governs map[link]bool // the links by which rooms were seen to inherit policies
	unsaved map[link]bool // the links whose place in governs changed
}

// link is a room and a space that it names.
type link struct{ child, space id.RoomID }

// maxSpaces bounds the number of spaces that one room names, and so the state that a decision reads of it. It takes power in the room to
// name one.
const maxSpaces = 64

// Spaces returns the spaces that a room named as its own. Their state, and the room's, tells whether that still holds.
func (s *spaces) Spaces(r id.RoomID) []id.RoomID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byChild[r]
}

// Link remembers that rooms name spaces, and returns the new links.
func (s *spaces) Link(links []invites.SpaceChild) (fresh []invites.SpaceChild) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range links {
		if known := s.byChild[c.Child]; len(known) < maxSpaces && !slices.Contains(known, c.Space) {
			s.byChild[c.Child] = append(slices.Clip(known), c.Space)
			s.set(link{c.Child, c.Space}, c.Governs)
			fresh = append(fresh, c)
		}
	}
	return fresh
}

// Unlink forgets that a room names a space, or any space for an empty id.
func (s *spaces) Unlink(child, space id.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(s.byChild[child]), func(known id.RoomID) bool {
		gone := space == "" || known == space
		if gone {
			delete(s.governs, link{child, known})
			delete(s.unsaved, link{child, known})
		}
		return gone
	})
	if s.byChild[child] = left; len(left) == 0 {
		delete(s.byChild, child)
	}
}

func (s *spaces) set(l link, governs bool) {
	if s.governs == nil {
		s.governs, s.unsaved = map[link]bool{}, map[link]bool{}
	}
	if governs {
		s.governs[l] = true
	} else {
		delete(s.governs, l)
	}
}

// Governs reports whether a room was last seen to inherit a policy from a space that it names.
func (s *spaces) Governs(child, space id.RoomID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.governs[link{child, space}]
}

// SetGoverns notes whether a room inherits a policy from a space that it names.
func (s *spaces) SetGoverns(child, space id.RoomID, governs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := (link{child, space}); s.governs[l] != governs && slices.Contains(s.byChild[child], space) {
		s.set(l, governs)
		s.unsaved[l] = true
	}
}

// UnsavedLinks returns the links by which rooms inherit, or do not any more, since the last call of SavedLinks for them.
func (s *spaces) UnsavedLinks() (links []invites.SpaceChild) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.unsaved {
		links = append(links, invites.SpaceChild{Space: l.space, Child: l.child, Governs: s.governs[l]})
	}
	return links
}

// SavedLinks notes that links are in the store.
func (s *spaces) SavedLinks(links []invites.SpaceChild) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range links {
		if l := (link{c.Child, c.Space}); s.governs[l] == c.Governs {
			delete(s.unsaved, l)
		}
	}
}

// Names reports whether a room that the bot is in names a space as its own.
func (s *State) Names(ctx context.Context, r, space id.RoomID) (bool, error) {
	k := room.Key{Type: room.TypeSpaceParent, StateKey: string(space)}
	snap, err := s.snapshotAsBot(ctx, r, []room.Key{k}, false)
	if errors.Is(err, invites.ErrNoView) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	event, _ := snap.Event(k)
	return event != nil && hasServers(event), nil
}

// Parents returns the spaces that a room names as its own, at most maxSpaces. The bot asks for them when it joins a room.
func (c *Client) Parents(ctx context.Context, r id.RoomID) (links []invites.SpaceChild, err error) {
	events, err := c.StateOf(ctx, r, []string{room.TypeSpaceParent})
	for _, e := range events {
		if e.Event != nil && hasServers(e.Event) && len(links) < maxSpaces && len(e.Key.StateKey) <= room.MaxID {
			links = append(links, invites.SpaceChild{Space: id.RoomID(e.Key.StateKey), Child: r})
		}
	}
	return links, err
}

// hasServers reports whether an m.space.parent event names a server: one that does not is none.
func hasServers(e *room.Event) bool {
	servers, ok := exactjson.Get(e.Content, "via").Texts()
	return ok && len(servers) > 0
}
