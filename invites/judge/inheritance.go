package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// MaxAbove is the number of spaces, one in the other, from which a room inherits.
const MaxAbove = 4

// Policies reads the policies in force.
type Policies struct {
	homeserver Homeserver
	self       invites.Identity
	upgrades   upgrades
	sources    cache[eventKey, policy.Source]
	merged     cache[string, *policy.InForce]
}

// Of returns the policy that governs a room: its own, and the policies inherited from the spaces above it. It is nil where the
// state does not tell.
func (s *Policies) Of(ctx context.Context, r id.RoomID, viewer id.UserID) (*policy.InForce, error) {
	snap, err := s.homeserver.Snapshot(ctx, r, viewer, []room.Key{policy.Key()}, false)
	if err != nil {
		return nil, err
	}
	return s.inForce(ctx, r, viewer, snap)
}

// inForce puts together the policy of the room in snap. It is nil where snap does not tell.
func (s *Policies) inForce(ctx context.Context, r id.RoomID, viewer id.UserID, snap *room.Snapshot) (*policy.InForce, error) {
	event, known := snap.Event(policy.Key())
	if !known {
		return nil, nil
	}
	var sources []policy.Source
	var err error
	if event != nil {
		var source policy.Source
		source, err = s.own(ctx, r, snap, event, maxUpgrades)
		sources = append(sources, source)
	} else {
		sources, err = s.carried(ctx, r, snap, maxUpgrades-1)
	}
	if err == nil {
		sources, err = s.above(ctx, []id.RoomID{r}, viewer, sources)
	}
	if errors.Is(err, invites.ErrKept) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var key strings.Builder
	size := 0
	for _, source := range sources {
		size += source.Size
		if source.Event == "" {
			return policy.Merge(sources...), nil
		}
		fmt.Fprintf(&key, "%s %s %d %q %t %t %t ", source.Room, source.Event, source.Size, source.Copied, source.Inherited, source.Carried, source.Lapsed)
	}
	return s.merged.get(key.String(), func() (*policy.InForce, int, error) { return policy.Merge(sources...), size, nil })
}

// Own returns the layer of a room's own policy. Its Fault tells why it can't be read; its event is empty where the room has none.
func (s *Policies) Own(ctx context.Context, r id.RoomID, viewer id.UserID) (policy.Source, error) {
	snap, err := s.homeserver.Snapshot(ctx, r, viewer, []room.Key{policy.Key()}, true)
	if err != nil {
		return policy.Source{}, err
	}
	event, known := snap.Event(policy.Key())
	switch {
	case !known: // for no policy, a writer would take it
		return policy.Source{}, invites.ErrKept
	case event == nil:
		return policy.Source{Room: r}, nil
	}
	return s.own(ctx, r, snap, event, maxUpgrades)
}

// source reads one policy event.
func (s *Policies) source(r id.RoomID, event *room.Event) policy.Source {
	if event.ID == "" {
		return policy.Read(r, event)
	}
	source, _ := s.sources.get(eventKey{r, event.ID, len(event.Content)}, func() (policy.Source, int, error) { return policy.Read(r, event), len(event.Content), nil })
	return source
}

// above adds the policies of the spaces above the last room of a chain, nearest first.
func (s *Policies) above(ctx context.Context, chain []id.RoomID, viewer id.UserID, sources []policy.Source) ([]policy.Source, error) {
	r := chain[len(chain)-1]
	claims := s.homeserver.Spaces(r)
	if len(claims) == 0 || len(chain) > MaxAbove {
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
		named := space
		snap, seen, err := s.space(ctx, space, r)
		if err != nil {
			return sources, err
		}
		if !seen && s.homeserver.Governs(r, named) {
			return append(sources, lost(space)), nil
		}
		if snap != nil {
			if space, snap, err = s.moved(ctx, space, r, snap); err != nil {
				return sources, err
			}
		}
		if snap == nil {
			if seen {
				s.homeserver.SetGoverns(r, named, false)
			}
			continue
		}
		had := slices.ContainsFunc(sources, func(s policy.Source) bool { return s.Room == space }) // the replaced room has it, too
		event, _ := snap.Event(policy.Key())
		s.homeserver.SetGoverns(r, named, event != nil)
		if event != nil && !had {
			source, err := s.inherited(ctx, space, event)
			if err != nil {
				return sources, err
			}
			sources = append(sources, source)
		}
		return s.above(ctx, append(chain, space), s.self.Bot, sources)
	}
	return sources, nil
}

// lost stands for the policy of a space that a room inherited from and that the bot can't see any more: nobody knows it, so it denies, until the
// bot is back or the room names the space no longer.
func lost(space id.RoomID) policy.Source {
	return policy.Source{Room: space, Inherited: true, Fault: policy.Malformed{{Problem: room.Say("fault.lost")}}}
}

// Heirs returns the rooms that inherit from a space, along the links of rooms to spaces: also those in spaces between, each once. A room whose policy
// can't be read is not among them.
func (s *Policies) Heirs(ctx context.Context, space id.RoomID, links []invites.SpaceChild) (heirs []id.RoomID, err error) {
	children := map[id.RoomID][]id.RoomID{}
	for _, link := range links {
		children[link.Space] = append(children[link.Space], link.Child)
	}
	from := func(source policy.Source) bool { return source.Room == space && source.Inherited }
	seen := map[id.RoomID]bool{space: true}
	for spaces := []id.RoomID{space}; len(spaces) > 0; spaces = spaces[1:] {
		for _, child := range children[spaces[0]] {
			heir := spaces[0] == space && s.homeserver.Governs(child, space)
			if !heir && spaces[0] != space && !seen[child] {
				p, err := s.Of(ctx, child, s.self.Bot)
				if ctx.Err() != nil {
					return nil, err
				}
				heir = err == nil && p != nil && slices.ContainsFunc(p.Sources, from)
			}
			if heir && !seen[child] {
				seen[child], heirs, spaces = true, append(heirs, child), append(spaces, child)
			}
		}
	}
	return heirs, nil
}

// inherited reads the policy of a space, and whether its author may still write it.
func (s *Policies) inherited(ctx context.Context, space id.RoomID, event *room.Event) (policy.Source, error) {
	source := s.source(space, event)
	source.Inherited = true
	person := source.Person(s.self.Bot)
	if person == "" {
		source.Lapsed = true
		return source, nil
	}
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(person)}
	snap, err := s.homeserver.Snapshot(ctx, space, s.self.Bot, needs, false)
	if err != nil {
		return source, fmt.Errorf("reading who may write the space's policy: %w", err)
	}
	may := snap.CanSend(person, policy.EventType, true)
	if may.Verdict == room.Unknown {
		return source, invites.ErrKept
	}
	source.Lapsed = may.Verdict != room.Allow
	return source, nil
}

// parents lists the spaces which claim a room and are named by the room, too, the canonical ones first, then by id
// (https://spec.matrix.org/latest/client-server-api/#mspaceparent-relationships). A room belongs to a space only if both
// say so: no room is put under a stranger's policy, nor takes a policy meant for other rooms. And since naming a parent
// changes the policy, it counts only where it takes as much power as writing the policy does, and where its sender has this power
// today: raising the level must not give effect to an old event. A room that already inherits goes on when the sender loses the power.
func (s *Policies) parents(ctx context.Context, r id.RoomID, viewer id.UserID, claims []id.RoomID) ([]id.RoomID, error) {
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}}
	for _, space := range claims {
		needs = append(needs, room.Key{Type: room.TypeSpaceParent, StateKey: string(space)})
	}
	snap, err := s.homeserver.Snapshot(ctx, r, viewer, needs, false)
	if err != nil {
		return nil, fmt.Errorf("reading which spaces the room is in: %w", err)
	}
	if !snap.Tells(needs...) {
		return nil, invites.ErrKept
	}
	naming, known := snap.NeededToSend(room.TypeSpaceParent)
	writing, knows := snap.NeededToSend(policy.EventType)
	if !known || !knows || naming < writing {
		return nil, nil
	}
	var canonical, others []id.RoomID
	for _, space := range claims {
		event, _ := snap.Event(room.Key{Type: room.TypeSpaceParent, StateKey: string(space)})
		switch {
		case !links(event):
		case !wields(snap, event.Sender, writing) && !s.homeserver.Governs(r, space): // named before naming took that much power
		case string(exactjson.Find(event.Content, "canonical")) == "true":
			canonical = append(canonical, space)
		default:
			others = append(others, space)
		}
	}
	slices.Sort(canonical)
	slices.Sort(others)
	return append(canonical, others...), nil
}

// space shows a space if it holds a room as its child and the bot can read it, else nil. seen tells whether the bot can read it.
func (s *Policies) space(ctx context.Context, space, child id.RoomID) (snap *room.Snapshot, seen bool, err error) {
	claim := room.Key{Type: room.TypeSpaceChild, StateKey: string(child)}
	create := room.Key{Type: room.TypeCreate}
	needs := []room.Key{create, claim, policy.Key()}
	snap, err = s.homeserver.Snapshot(ctx, space, s.self.Bot, needs, false)
	if errors.Is(err, invites.ErrNoView) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the space's state: %w", err)
	}
	if !snap.Tells(needs...) {
		return nil, true, invites.ErrKept
	}
	event, _ := snap.Event(claim)
	creation, _ := snap.Event(create)
	if !links(event) || creation == nil || exactjson.Text(creation.Content, "type") != "m.space" {
		return nil, true, nil
	}
	return snap, true, nil
}

// links reports whether an m.space.parent or m.space.child event links two rooms: an event without servers does not.
func links(event *room.Event) bool {
	if event == nil {
		return false
	}
	servers, ok := exactjson.Get(event.Content, "via").Texts()
	return ok && len(servers) > 0
}

// Look shows the state by which acts in a policy's name are judged: the door, and the standing of the policy's authors, the bot and
// others. It is nil where the bot can't see the room.
func (s *Policies) Look(ctx context.Context, r id.RoomID, p *policy.InForce, others ...id.UserID) (*room.Snapshot, error) {
	users := append(others, s.self.Bot)
	needs := append(policy.GuardNeeds(users...), p.AuthorKeys(s.self.Bot)...)
	snap, err := s.homeserver.Snapshot(ctx, r, "", needs, false)
	if errors.Is(err, invites.ErrNoView) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the room's state: %w", err)
	}
	return snap, nil
}
