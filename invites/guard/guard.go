package guard

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/delivery"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// A guard stops after setting a room back so often within the window.
const (
	guardRounds = 3
	guardWindow = time.Hour
)

// Store is the part of the store needed by the guard.
type Store interface {
	// Guarded lists the guarded rooms.
	Guarded(ctx context.Context) ([]id.RoomID, error)
	// Watch returns the memory of a room, or ErrNotFound where it is not guarded.
	Watch(ctx context.Context, r id.RoomID) (invites.Watch, error)
	// SetWatch keeps it.
	SetWatch(ctx context.Context, w invites.Watch) error
	// EndWatch forgets a room.
	EndWatch(ctx context.Context, r id.RoomID) error
	// Record adds new rows, and their audit, in one commit. It returns the rows as stored.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
	// EntriesOf returns up to limit invitations of a user in a room, the newest first.
	EntriesOf(ctx context.Context, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error)
	// ChangesOf returns the rows of one request, by ID.
	ChangesOf(ctx context.Context, request string) ([]invites.Change, error)
	// Received returns an event of the inbox, or ErrNotFound.
	Received(ctx context.Context, event id.EventID) (invites.Received, error)
	// SpaceChildren returns all claims of spaces on rooms.
	SpaceChildren(ctx context.Context) ([]invites.SpaceChild, error)
}

// Homeserver shows and sets state. Errors are as in judge.Homeserver.
type Homeserver interface {
	// Snapshot returns the known state of a room, as judge.Homeserver does.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Members lists the users with a membership in a room.
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
	// SendState sets a piece of state as a user: a local one by identity assertion, or the bot.
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
}

// Guard keeps rooms as their policies say. All exported fields are required.
type Guard struct {
	Store      Store
	Homeserver Homeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
	Delivery   *delivery.Delivery
	// Tell sends a report to its room, and is told the same one again after a crash.
	Tell func(ctx context.Context, r id.RoomID, report Report) error

	listed brake
	mu     sync.RWMutex
	rooms  map[id.RoomID]*sync.Mutex // held while a room's door is looked at: the policy of a space does so from another lane
}

// Load learns which rooms are guarded.
func (g *Guard) Load(ctx context.Context) error {
	list, err := g.Store.Guarded(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rooms = make(map[id.RoomID]*sync.Mutex, len(list))
	for _, r := range list {
		g.rooms[r] = new(sync.Mutex)
	}
	return nil
}

// Watches reports whether a room has a guard.
func (g *Guard) Watches(r id.RoomID) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.rooms[r] != nil
}

// turn returns the lock of a guarded room.
func (g *Guard) turn(r id.RoomID) *sync.Mutex {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rooms == nil {
		g.rooms = map[id.RoomID]*sync.Mutex{}
	}
	if g.rooms[r] == nil {
		g.rooms[r] = new(sync.Mutex)
	}
	return g.rooms[r]
}

// Refresh reads the policy of a room, starts or ends its guard, and looks at the door. Call it when the policy, or the policies which the
// room inherits, may have changed.
func (g *Guard) Refresh(ctx context.Context, r id.RoomID) error {
	p, err := g.Judge.Policies.Of(ctx, r, "")
	if errors.Is(err, invites.ErrNoView) {
		return g.forget(ctx, r)
	}
	if err != nil || p == nil {
		return err
	}
	if p.Fault() != nil {
		return nil // as before, until it can be read
	}
	if p.Document.Guard.Mode == policy.Off {
		return g.forget(ctx, r)
	}
	if _, err := g.watch(ctx, r, p); err != nil {
		return err
	}
	return g.door(ctx, r, p, true)
}

// forget ends a room's guard, as when the bot has left.
func (g *Guard) forget(ctx context.Context, r id.RoomID) error {
	if !g.Watches(r) {
		return nil
	}
	if err := g.Store.EndWatch(ctx, r); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.rooms, r)
	return nil
}

// watch returns the memory of a room under its policy; a new policy starts anew.
func (g *Guard) watch(ctx context.Context, r id.RoomID, p *policy.InForce) (invites.Watch, error) {
	var name strings.Builder
	for _, source := range p.Sources {
		name.WriteString(string(source.Event) + " ")
	}
	w, err := g.Store.Watch(ctx, r)
	if err != nil && !errors.Is(err, invites.ErrNotFound) || err == nil && w.Policy == name.String() {
		return w, err
	}
	w = invites.Watch{Room: r, Policy: name.String()}
	return w, g.Store.SetWatch(ctx, w)
}

// Handle looks at a state event of a guarded room.
func (g *Guard) Handle(ctx context.Context, ev invites.Received) error {
	p, err := g.Judge.Policies.Of(ctx, ev.Room, "")
	if errors.Is(err, invites.ErrNoView) || err == nil && (p == nil || p.Fault() != nil) {
		return nil // the author of an unreadable policy is told so
	}
	if err != nil || p.Document.Guard.Mode == policy.Off {
		return err
	}
	if ev.Type != room.TypeMember {
		return g.door(ctx, ev.Room, p, false)
	}
	if ev.StateKey == nil {
		return nil
	}
	membership, target := membershipOf(ev), id.UserID(*ev.StateKey)
	switch {
	case target == g.Self.Bot || ev.Sender == g.Self.Bot:
	case membership == "join":
		return g.joined(ctx, ev, p, target)
	case membership == "invite":
		return g.byHand(ctx, ev, p, target)
	}
	return nil
}

// door looks whether the room's state is as the policy says. It acts on the state, not on an event, so doing it again is harmless.
// Drifts found when the policy changes are set back without counting: nobody fights yet.
func (g *Guard) door(ctx context.Context, r id.RoomID, p *policy.InForce, first bool) error {
	turn := g.turn(r)
	turn.Lock()
	defer turn.Unlock()
	if p.Fault() != nil {
		return nil
	}
	snap, err := g.Judge.Policies.Look(ctx, r, p)
	if err != nil || snap == nil {
		return err
	}
	guard := &p.Document.Guard
	for _, drift := range guard.Drifts(snap) {
		parts, events, err := g.causes(ctx, r, guard, snap, drift)
		if err != nil {
			return err
		}
		for _, d := range parts {
			if err := g.drifted(ctx, r, p, d, events[d.Event], first); err != nil {
				return err
			}
		}
	}
	return nil
}
