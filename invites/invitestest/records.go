package invitestest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// put files an event as the current one of its key. h.mu is held.
func (h *Homeserver) put(r id.RoomID, k room.Key, sender id.UserID, content json.RawMessage) id.EventID {
	e := invites.StateEvent{Key: k, Event: room.Event{ID: id.EventID(fmt.Sprintf("$%s%d", h.Name, len(h.past)+1)), Sender: sender, Content: content}}
	if h.Clock != nil {
		e.SentAt = h.Clock.Now()
	}
	if old := h.rooms[r][k]; old != nil {
		e.Before, e.Replaces = old.Content, old.ID
	}
	if h.past == nil {
		h.past, h.changed = map[id.EventID]invites.StateEvent{}, map[id.RoomID][]room.Key{}
	}
	h.past[e.ID] = e
	h.changed[r] = append(h.changed[r], k)
	h.rooms[r][k] = &e.Event
	return e.ID
}

// RedactState redacts a version of a piece of state, of whose content nothing is left but what is given.
func (h *Homeserver) RedactState(r id.RoomID, k room.Key, event id.EventID, by id.UserID, left string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.past[event]
	e.Content, e.RedactedBy = json.RawMessage(left), by
	if h.Clock != nil {
		e.RedactedAt = h.Clock.Now()
	}
	h.past[event] = e
	if h.rooms[r][k].ID == event {
		h.rooms[r][k] = &e.Event
	}
	h.changed[r] = append(h.changed[r], k)
}

// Claim makes a space claim a room as its child, as the port remembers it.
func (h *Homeserver) Claim(space, child id.RoomID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spaces == nil {
		h.spaces = map[id.RoomID][]id.RoomID{}
	}
	if !slices.Contains(h.spaces[child], space) {
		h.spaces[child] = append(h.spaces[child], space)
	}
}

// SendState implements FullHomeserver.
func (h *Homeserver) SendState(_ context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	if h.BeforeState != nil {
		if err := h.BeforeState(); err != nil {
			return "", err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	snap, err := h.snapshot(r)
	if err != nil {
		return "", err
	}
	result := snap.CanSend(as, k.Type, true)
	if k.Type == "m.room.power_levels" {
		result = room.Authorize(snap, room.Action{Type: room.SetPowerLevels, Sender: as, Content: content})
	}
	if result.Verdict != room.Allow {
		return "", &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403, Err: fmt.Errorf("%s", result.Rule)}
	}
	return h.put(r, k, as, content), nil
}

// StateEvent implements FullHomeserver.
func (h *Homeserver) StateEvent(_ context.Context, _ id.RoomID, _ id.UserID, event id.EventID) (invites.StateEvent, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, known := h.past[event]
	if !known || h.Hide {
		return e, &invites.ActError{Class: invites.ClassRefused, Code: "M_NOT_FOUND", Status: 404}
	}
	return e, nil
}

// CurrentEvent implements FullHomeserver.
func (h *Homeserver) CurrentEvent(_ context.Context, r id.RoomID, _ id.UserID, k room.Key) (invites.StateEvent, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.rooms[r][k]
	if e == nil {
		return invites.StateEvent{}, &invites.ActError{Class: invites.ClassRefused, Code: "M_NOT_FOUND", Status: 404}
	}
	past := h.past[e.ID]
	past.Before, past.Replaces, past.Hidden = nil, "", true
	return past, nil
}

// History implements FullHomeserver.
func (h *Homeserver) History(_ context.Context, r id.RoomID, _ id.UserID, k room.Key, limit int) ([]invites.StateEvent, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []invites.StateEvent
	for e := h.rooms[r][k]; e != nil && len(list) < limit; {
		past := h.past[e.ID]
		list = append(list, past)
		e = nil
		if earlier, known := h.past[past.Replaces]; known {
			e = &earlier.Event
		}
	}
	return list, nil
}

// MemberCount implements FullHomeserver.
func (h *Homeserver) MemberCount(_ context.Context, r id.RoomID, _ id.UserID, _ int64) (n int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	snap, err := h.snapshot(r)
	if err != nil {
		return 0, err
	}
	for k := range h.rooms[r] {
		if membership, _ := snap.Membership(id.UserID(k.StateKey)); k.Type == "m.room.member" && membership == "join" {
			n++
		}
	}
	return n, nil
}

// Members implements FullHomeserver.
func (h *Homeserver) Members(_ context.Context, r id.RoomID, membership string) (users []id.UserID, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	snap, err := h.snapshot(r)
	if err != nil {
		return nil, err
	}
	for k := range h.rooms[r] {
		if now, _ := snap.Membership(id.UserID(k.StateKey)); k.Type == "m.room.member" && now == membership {
			users = append(users, id.UserID(k.StateKey))
		}
	}
	slices.Sort(users)
	return users, nil
}

// Collect implements FullHomeserver.
func (h *Homeserver) Collect(_ context.Context, r id.RoomID, types []string, _ bool) (changes []invites.StateChange, whole bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r] == nil {
		return nil, false, invites.ErrNoView
	}
	for _, k := range h.changed[r] {
		if slices.Contains(types, k.Type) {
			changes = append(changes, invites.StateChange{Key: k, Event: h.rooms[r][k]})
		}
	}
	h.changed[r] = nil
	return changes, false, nil
}

// Spaces implements FullHomeserver.
func (h *Homeserver) Spaces(r id.RoomID) []id.RoomID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spaces[r]
}

// Governs implements FullHomeserver.
func (h *Homeserver) Governs(child, space id.RoomID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.governs[[2]id.RoomID{child, space}]
}

// SetGoverns implements FullHomeserver.
func (h *Homeserver) SetGoverns(child, space id.RoomID, governs bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.governs == nil {
		h.governs = map[[2]id.RoomID]bool{}
	}
	h.governs[[2]id.RoomID{child, space}] = governs
}
