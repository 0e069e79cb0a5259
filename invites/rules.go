package invites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/policy"
	"usher/room"
)

// maxAbove is how many spaces, one in the other, a room inherits from.
const maxAbove = 4

// memory is what Service keeps so as not to read it twice: events, which change only by being redacted, and what follows
// from them.
type memory struct {
	mu      sync.Mutex
	sources map[eventKey]policy.Source
	merged  map[string]*policy.InForce
	events  map[eventKey]StateEvent
	lists   map[id.RoomID]*watched // as many as policies name
}

// eventKey names an event. Its id alone may be an attacker's choice, in rooms of versions 1 and 2; the size of its content
// tells whether it was redacted.
type eventKey struct {
	room  id.RoomID
	event id.EventID
	size  int
}

// maxMemory bounds each part of a memory but lists; a full one is forgotten.
const maxMemory = 4096

// remember returns what a memory holds under a key, or makes and keeps it.
func remember[K comparable, V any](m *memory, in *map[K]V, key K, fresh func() (V, error)) (V, error) {
	m.mu.Lock()
	v, known := (*in)[key]
	m.mu.Unlock()
	if known {
		return v, nil
	}
	v, err := fresh()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if *in == nil || len(*in) >= maxMemory {
		*in = map[K]V{}
	}
	(*in)[key] = v
	return v, nil
}

// Policy returns the policy that governs a room: its own, and what it inherits from the spaces above it.
func (s *Service) Policy(ctx context.Context, r id.RoomID, viewer id.UserID) (*policy.InForce, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, viewer, []room.Key{policy.Key()}, false)
	if err != nil {
		return nil, err
	}
	return s.inForce(ctx, r, viewer, snap)
}

// inForce puts together the policy of a room that snap shows. It is nil where snap does not tell.
func (s *Service) inForce(ctx context.Context, r id.RoomID, viewer id.UserID, snap *room.Snapshot) (*policy.InForce, error) {
	event, known := snap.Event(policy.Key())
	if !known {
		return nil, nil
	}
	var sources []policy.Source
	if event != nil {
		sources = append(sources, s.source(r, event))
	}
	sources, err := s.above(ctx, []id.RoomID{r}, viewer, sources)
	if errors.Is(err, errUnseen) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var key strings.Builder
	for _, source := range sources {
		if source.Event == "" {
			return policy.Merge(sources...), nil
		}
		fmt.Fprintf(&key, "%s %s %d %t %t ", source.Room, source.Event, source.Size, source.Inherited, source.Lapsed)
	}
	return remember(&s.memory, &s.memory.merged, key.String(), func() (*policy.InForce, error) { return policy.Merge(sources...), nil })
}

func (s *Service) source(r id.RoomID, event *room.Event) policy.Source {
	if event.ID == "" {
		return policy.Read(r, event)
	}
	source, _ := remember(&s.memory, &s.memory.sources, eventKey{r, event.ID, len(event.Content)}, func() (policy.Source, error) { return policy.Read(r, event), nil })
	return source
}

// errUnseen says that a snapshot does not tell what a room inherits, which is not to say that it inherits nothing.
var errUnseen = errors.New("invites: what a room inherits is not known")

// above adds the policies of the spaces that the last room of a chain belongs to, nearest first.
func (s *Service) above(ctx context.Context, chain []id.RoomID, viewer id.UserID, sources []policy.Source) ([]policy.Source, error) {
	r := chain[len(chain)-1]
	claims := s.Homeserver.Spaces(r)
	if len(claims) == 0 || len(chain) > maxAbove {
		return sources, nil
	}
	parents, err := s.parents(ctx, r, viewer, claims)
	if err != nil {
		return sources, err
	}
	for _, space := range parents {
		if slices.Contains(chain, space) {
			continue
		}
		snap, err := s.space(ctx, space, r)
		if err != nil {
			return sources, err
		}
		if snap == nil {
			continue
		}
		if event, _ := snap.Event(policy.Key()); event != nil {
			source, err := inherited(ctx, s, space, event)
			if err != nil {
				return sources, err
			}
			sources = append(sources, source)
		}
		return s.above(ctx, append(chain, space), s.Self.Bot, sources)
	}
	return sources, nil
}

// inherited reads the policy of a space, and whether the person who wrote it may still write it.
func inherited(ctx context.Context, s *Service, space id.RoomID, event *room.Event) (policy.Source, error) {
	source := s.source(space, event)
	source.Inherited = true
	person := source.Person(s.Self.Bot)
	if person == "" {
		source.Lapsed = true
		return source, nil
	}
	needs := []room.Key{{Type: "m.room.create"}, {Type: "m.room.power_levels"}, room.MemberKey(person)}
	snap, err := s.Homeserver.Snapshot(ctx, space, s.Self.Bot, needs, false)
	if err != nil {
		return source, fmt.Errorf("reading who may write the space's policy: %w", err)
	}
	may := snap.CanSend(person, policy.EventType, true)
	if may.Verdict == room.Unknown {
		return source, errUnseen
	}
	source.Lapsed = may.Verdict != room.Allow
	return source, nil
}

// parents lists which of the spaces that claim a room the room names as its own, the canonical ones first, then by id
// (https://spec.matrix.org/latest/client-server-api/#mspaceparent-relationships). A room belongs to a space only if both
// say so: nobody is put under a stranger's policy, nor takes one that is not meant for them. And since naming a parent
// changes the policy, it counts only where it takes as much power as writing the policy does.
func (s *Service) parents(ctx context.Context, r id.RoomID, viewer id.UserID, claims []id.RoomID) ([]id.RoomID, error) {
	needs := []room.Key{{Type: "m.room.create"}, {Type: "m.room.power_levels"}}
	for _, space := range claims {
		needs = append(needs, room.Key{Type: "m.space.parent", StateKey: string(space)})
	}
	snap, err := s.Homeserver.Snapshot(ctx, r, viewer, needs, false)
	if err != nil {
		return nil, fmt.Errorf("reading which spaces the room is in: %w", err)
	}
	if !tells(snap, needs) {
		return nil, errUnseen
	}
	naming, known := snap.NeededToSend("m.space.parent")
	writing, knows := snap.NeededToSend(policy.EventType)
	if !known || !knows || naming < writing {
		return nil, nil
	}
	var canonical, others []id.RoomID
	for _, space := range claims {
		event, _ := snap.Event(room.Key{Type: "m.space.parent", StateKey: string(space)})
		link, ok := linkIn(event)
		switch {
		case ok && link.canonical:
			canonical = append(canonical, space)
		case ok:
			others = append(others, space)
		}
	}
	slices.Sort(canonical)
	slices.Sort(others)
	return append(canonical, others...), nil
}

// space shows a space if it holds a room as its child and the bot can read it, else nil.
func (s *Service) space(ctx context.Context, space, child id.RoomID) (*room.Snapshot, error) {
	claim := room.Key{Type: "m.space.child", StateKey: string(child)}
	create := room.Key{Type: "m.room.create"}
	needs := []room.Key{create, claim, policy.Key()}
	snap, err := s.Homeserver.Snapshot(ctx, space, s.Self.Bot, needs, false)
	if errors.Is(err, ErrNoView) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the space's state: %w", err)
	}
	if !tells(snap, needs) {
		return nil, errUnseen
	}
	event, _ := snap.Event(claim)
	creation, _ := snap.Event(create)
	if _, ok := linkIn(event); !ok || !IsSpace(creation) {
		return nil, nil
	}
	return snap, nil
}

// tells reports whether a snapshot knows all that it was asked for.
func tells(snap *room.Snapshot, needs []room.Key) bool {
	return !slices.ContainsFunc(needs, func(k room.Key) bool {
		_, known := snap.Event(k)
		return !known
	})
}

// IsSpace reports whether a create event makes a space (https://spec.matrix.org/latest/client-server-api/#spaces).
func IsSpace(create *room.Event) bool {
	return create != nil && exactjson.Text(create.Content, "type") == "m.space"
}

// link is what m.space.parent and m.space.child say.
type link struct{ canonical bool }

// linkIn reads a link. ok is false for a link without servers, which is none.
func linkIn(event *room.Event) (l link, ok bool) {
	if event == nil {
		return l, false
	}
	if via, ok := exactjson.Get(event.Content, "via").Texts(); !ok || len(via) == 0 {
		return l, false
	}
	return link{canonical: exactjson.Get(event.Content, "canonical").Kind == exactjson.True}, true
}

// look shows what is judged by where the bot acts in a policy's name: the doors, and where the policy's authors and others stand. It
// is nil where the bot can't see the room.
func (s *Service) look(ctx context.Context, r id.RoomID, p *policy.InForce, others ...id.UserID) (*room.Snapshot, error) {
	users := append(others, s.Self.Bot)
	needs := append(policy.GuardNeeds(users...), p.AuthorKeys(s.Self.Bot)...)
	snap, err := s.Homeserver.Snapshot(ctx, r, "", needs, false)
	if errors.Is(err, ErrNoView) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the room's state: %w", err)
	}
	return snap, nil
}
