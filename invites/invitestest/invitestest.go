// Package invitestest has stand-ins for the ports of invites: a model homeserver that applies the rules of room, a clock that
// is set by hand, and a queue that only remembers.
package invitestest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Homeserver is a model: rooms are maps of state, and an act changes them where the rules allow it.
type Homeserver struct {
	mu       sync.Mutex
	rooms    map[id.RoomID]map[room.Key]*room.Event
	acts     []invites.Effect
	redacted map[id.EventID]bool
	past     map[id.EventID]invites.StateEvent
	changed  map[id.RoomID][]room.Key
	spaces   map[id.RoomID][]id.RoomID // by child
	governs  map[[2]id.RoomID]bool     // by child and space
	aliases  map[id.RoomAlias]id.RoomID

	// Name begins the ids of its events, so that several can share a store.
	Name string
	// Clock dates events; without one, they have no date.
	Clock invites.Clock

	// Before is called before each act, without any lock held; an error it returns is the answer. It may be nil.
	Before func(invites.Effect) error
	// BeforeState is called before each SendState; an error it returns is the answer. It may be nil.
	BeforeState func() error
	// Kept are pieces of state that Snapshot keeps back, in all rooms. With any, it shows only the pieces asked for.
	Kept []room.Key
	// Hide makes events of the past invisible.
	Hide bool
	// Mute makes acts succeed without effect, as for a shadow-banned sender.
	Mute bool
}

// Create makes a room of the given version with its creator joined, the usual power levels of a private room, and users
// joined to it.
func (h *Homeserver) Create(r id.RoomID, version string, creator id.UserID, users ...id.UserID) {
	if h.rooms == nil {
		h.rooms, h.redacted = map[id.RoomID]map[room.Key]*room.Event{}, map[id.EventID]bool{}
	}
	h.rooms[r] = map[room.Key]*room.Event{}
	h.Set(r, "m.room.create", "", creator, map[string]any{"room_version": version, "creator": creator})
	levels := map[string]any{"invite": 50}
	if version != "12" {
		levels["users"] = map[string]any{creator.String(): 100}
	}
	h.Set(r, "m.room.power_levels", "", creator, levels)
	h.Set(r, "m.room.join_rules", "", creator, map[string]any{"join_rule": "invite"})
	for _, user := range append([]id.UserID{creator}, users...) {
		h.Member(r, user, "join")
	}
}

// Set puts a state event into a room, whatever the rules say.
func (h *Homeserver) Set(r id.RoomID, kind, key string, sender id.UserID, content any) {
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(r, room.Key{Type: kind, StateKey: key}, sender, raw)
}

// Member sets a membership, whatever the rules say.
func (h *Homeserver) Member(r id.RoomID, user id.UserID, membership string) {
	h.Set(r, "m.room.member", user.String(), user, map[string]any{"membership": membership})
}

// Drop makes a room invisible, as after the bot was kicked.
func (h *Homeserver) Drop(r id.RoomID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.rooms, r)
}

// Redact takes an event back.
func (h *Homeserver) Redact(event id.EventID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.redacted[event] = true
}

// Acts returns the acts that were asked for, refused ones too.
func (h *Homeserver) Acts() []invites.Effect {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]invites.Effect(nil), h.acts...)
}

// Snapshot implements FullHomeserver. Everybody sees every room that exists.
func (h *Homeserver) Snapshot(_ context.Context, r id.RoomID, _ id.UserID, needs []room.Key, _ bool) (*room.Snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.rooms[r]
	if state == nil || len(h.Kept) == 0 {
		return h.snapshot(r)
	}
	events := map[room.Key]*room.Event{}
	for _, k := range append(needs, room.Key{Type: room.TypeCreate}) {
		if !slices.Contains(h.Kept, k) {
			events[k] = state[k]
		}
	}
	return room.NewSnapshot(room.State{Events: events}), nil
}

func (h *Homeserver) snapshot(r id.RoomID) (*room.Snapshot, error) {
	state, exists := h.rooms[r]
	if !exists {
		return nil, invites.ErrNoView
	}
	events := make(map[room.Key]*room.Event, len(state))
	for k, e := range state {
		events[k] = e
	}
	return room.NewSnapshot(room.State{Events: events, Complete: true}), nil
}

// Act implements FullHomeserver.
func (h *Homeserver) Act(_ context.Context, e invites.Effect) error {
	if h.Before != nil {
		if err := h.Before(e); err != nil {
			h.note(e)
			return err
		}
	}
	h.note(e)
	h.mu.Lock()
	snap, err := h.snapshot(e.Room)
	h.mu.Unlock()
	if err != nil {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_NOT_FOUND", Status: 404, Err: err}
	}
	if result := room.Authorize(snap, room.Action{Type: e.Action, Sender: e.Performer, Target: e.Target}); result.Verdict != room.Allow {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403, Err: fmt.Errorf("%s", result.Rule)}
	}
	if h.Mute {
		return nil
	}
	membership := map[room.ActionType]string{room.Invite: "invite", room.Join: "join", room.Ban: "ban", room.Knock: "knock"}[e.Action]
	if membership == "" {
		membership = "leave"
	}
	h.Set(e.Room, "m.room.member", e.Target.String(), e.Performer, map[string]any{"membership": membership, "reason": e.Reason})
	return nil
}

func (h *Homeserver) note(e invites.Effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, e)
}

// Resolve implements FullHomeserver: the alias #x:server is the room !x:server, where that exists.
func (h *Homeserver) Resolve(_ context.Context, alias id.RoomAlias) (id.RoomID, []string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.aliases[alias]; r != "" {
		return r, []string{"here"}, nil
	}
	r := id.RoomID("!" + alias.String()[1:])
	if _, exists := h.rooms[r]; !exists {
		return "", nil, &invites.ActError{Class: invites.ClassRefused, Code: "M_NOT_FOUND", Status: 404}
	}
	return r, []string{"via.example"}, nil
}

// Redacted implements FullHomeserver.
func (h *Homeserver) Redacted(_ context.Context, _ id.RoomID, _ id.UserID, event id.EventID) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.redacted[event], nil
}

// Clock is set by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now implements invites.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Wake is one wake-up that was asked for.
type Wake struct {
	At  time.Time
	Row int64
}

// Queue remembers what it was asked to wake.
type Queue struct {
	mu    sync.Mutex
	wakes []Wake
}

// Wake implements invites.Queue.
func (q *Queue) Wake(_ context.Context, at time.Time, rows ...int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, row := range rows {
		q.wakes = append(q.wakes, Wake{at, row})
	}
	return nil
}

// Take returns the wake-ups so far and forgets them.
func (q *Queue) Take() []Wake {
	q.mu.Lock()
	defer q.mu.Unlock()
	wakes := q.wakes
	q.wakes = nil
	return wakes
}
