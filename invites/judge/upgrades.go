package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// upgrades tells which room replaces which (https://spec.matrix.org/latest/client-server-api/#room-upgrades): the tombstone of the old room
// names the new one, and the create event of the new room names the old one. One of both alone is anybody's word.
type upgrades struct {
	homeserver Homeserver
	self       invites.Identity
}

// look shows state of a room as the bot sees it, nil where the bot does not.
func (s upgrades) look(ctx context.Context, r id.RoomID, types ...string) (*room.Snapshot, error) {
	needs := make([]room.Key, len(types))
	for i, kind := range types {
		needs[i].Type = kind
	}
	snap, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, needs, false)
	if invites.Unseen(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the upgrade of a room: %w", err)
	}
	if !snap.Tells(needs...) {
		return nil, invites.ErrKept
	}
	return snap, nil
}

// named returns the room in a tombstone.
func named(snap *room.Snapshot) id.RoomID {
	event, _ := snap.Event(room.Key{Type: room.TypeTombstone})
	if event == nil {
		return ""
	}
	return roomIn(exactjson.Text(event.Content, "replacement_room"))
}

// predecessor returns the replaced room in a create event.
func predecessor(snap *room.Snapshot) id.RoomID {
	event, _ := snap.Event(room.Key{Type: room.TypeCreate})
	if event == nil {
		return ""
	}
	return roomIn(exactjson.Text(event.Content, "predecessor", "room_id"))
}

// roomIn returns a text as the id of a room, empty if it is none.
func roomIn(text string) id.RoomID {
	if len(text) < 2 || text[0] != '!' || len(text) > room.MaxID {
		return ""
	}
	return id.RoomID(text)
}

// successor returns the replacement of a room, empty if none does, or if the bot does not see it. Events of a type count from there: the
// tombstone must take as much power as such an event does in the old room, and its sender must have that power.
func (s upgrades) successor(ctx context.Context, r id.RoomID, kind string) (id.RoomID, error) {
	old, err := s.look(ctx, r, room.TypeTombstone, room.TypeCreate, room.TypePowerLevels)
	if err != nil || old == nil {
		return "", err
	}
	next := named(old)
	ending, known := old.NeededToSend(room.TypeTombstone)
	writing, knows := old.NeededToSend(kind)
	stone, _ := old.Event(room.Key{Type: room.TypeTombstone})
	if next == "" || next == r || !known || !knows || ending < writing || !wields(old, stone.Sender, writing) {
		return "", nil
	}
	created, err := s.look(ctx, next, room.TypeCreate)
	if err != nil || created == nil || predecessor(created) != r {
		return "", err
	}
	return next, nil
}

// wields reports whether a user has a power level by the power levels of a room, also after they left it.
func wields(snap *room.Snapshot, user id.UserID, level room.Level) bool {
	power, known := snap.Power(user)
	return known && power >= level
}

// maxUpgrades is how many upgrades of one room are followed.
const maxUpgrades = 4

// successors lists the replacements of a room, one after the other.
func (s upgrades) successors(ctx context.Context, r id.RoomID, kind string) (list []id.RoomID, err error) {
	for range maxUpgrades {
		next, err := s.successor(ctx, r, kind)
		if err != nil || next == "" || slices.Contains(list, next) {
			return list, err
		}
		list = append(list, next)
		r = next
	}
	return list, nil
}

// replaced shows the room replaced by the room in snap. It is nil where there is none, or the bot does not see it.
func (s upgrades) replaced(ctx context.Context, r id.RoomID, snap *room.Snapshot) (old id.RoomID, then *room.Snapshot, err error) {
	if old = predecessor(snap); old == "" || old == r {
		return "", nil, nil
	}
	then, err = s.look(ctx, old, room.TypeTombstone, room.TypeCreate, policy.EventType)
	if err != nil || then == nil {
		return "", nil, err
	}
	if named(then) != r {
		return "", nil, nil
	}
	return old, then, nil
}

// own reads the policy event of a room itself. Some homeservers copy it in an upgrade, in the name of the upgrading user, who did not mean its
// fields: where the content is that of the replaced room, its author there is the author.
func (s *Policies) own(ctx context.Context, r id.RoomID, snap *room.Snapshot, event *room.Event, depth int) (policy.Source, error) {
	source := s.source(r, event)
	create, _ := snap.Event(room.Key{Type: room.TypeCreate})
	if create == nil || create.Sender != event.Sender || source.Layer.Empty() || depth == 0 {
		return source, nil
	}
	old, then, err := s.upgrades.replaced(ctx, r, snap)
	if err != nil || old == "" {
		return source, err
	}
	before, _ := then.Event(policy.Key())
	if before == nil || !bytes.Equal(s.source(old, before).Layer.Content(), source.Layer.Content()) {
		return source, nil
	}
	earlier, err := s.own(ctx, old, then, before, depth-1)
	source.Author, source.For, source.Copied = earlier.Author, earlier.For, old
	return source, err
}

// carried reads the policies in force for a room as long as it has no policy event: the policies of the replaced room. So a
// policy does not end with an upgrade by which the homeserver does not copy it.
func (s *Policies) carried(ctx context.Context, r id.RoomID, snap *room.Snapshot, depth int) (sources []policy.Source, err error) {
	old, then, err := s.upgrades.replaced(ctx, r, snap)
	if err != nil || old == "" {
		return nil, err
	}
	if event, _ := then.Event(policy.Key()); event != nil {
		source, err := s.inherited(ctx, old, event)
		if err != nil {
			return nil, err
		}
		source.Carried = true
		sources = append(sources, source)
	} else if depth > 0 {
		if sources, err = s.carried(ctx, old, then, depth-1); err != nil {
			return nil, err
		}
	}
	return s.above(ctx, []id.RoomID{old}, s.self.Bot, sources)
}

// ReplacedBy returns the room in the tombstone of a room, as a user sees the room; empty if none, or if the user does not see it.
func (s *Reach) ReplacedBy(ctx context.Context, r id.RoomID, asker id.UserID) (id.RoomID, error) {
	snap, err := s.homeserver.Snapshot(ctx, r, asker, []room.Key{{Type: room.TypeTombstone}}, false)
	if errors.Is(err, invites.ErrNoView) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whether the room was replaced: %w", err)
	}
	return named(snap), nil
}

// Predecessor returns the room that a room names as the one it replaces, as a user sees the room; empty if none. The other room need not agree.
func (s *Reach) Predecessor(ctx context.Context, r id.RoomID, asker id.UserID) (id.RoomID, error) {
	snap, err := s.homeserver.Snapshot(ctx, r, asker, []room.Key{{Type: room.TypeCreate}}, false)
	if err != nil {
		return "", invites.UnlessUnseen(err)
	}
	return predecessor(snap), nil
}

// Replacement is the upgrade of one room to another.
type Replacement struct {
	Old, New id.RoomID
	By       id.UserID  // sender of the tombstone
	Event    id.EventID // the tombstone
	Rightful bool       // the tombstone takes as much power in the old room as the policy
}

// Replaces returns the upgrade that led to a room, by the word of both rooms as the bot sees them. Old is empty where there is none.
func (s *Reach) Replaces(ctx context.Context, next id.RoomID) (Replacement, error) {
	u := upgrades{s.homeserver, s.self}
	created, err := u.look(ctx, next, room.TypeCreate)
	if err != nil || created == nil {
		return Replacement{}, err
	}
	old, then, err := u.replaced(ctx, next, created)
	if err != nil || old == "" {
		return Replacement{}, err
	}
	event, _ := then.Event(room.Key{Type: room.TypeTombstone})
	rightful, err := u.successor(ctx, old, policy.EventType)
	return Replacement{Old: old, New: next, By: event.Sender, Event: event.ID, Rightful: rightful == next}, err
}

// Current returns the replacement of a room named in a policy, or the room itself.
func (s *Reach) Current(ctx context.Context, r id.RoomID) (id.RoomID, error) {
	list, err := upgrades{s.homeserver, s.self}.successors(ctx, r, room.TypeTombstone)
	if err != nil || len(list) == 0 {
		return r, err
	}
	return list[len(list)-1], nil
}

// moved returns the replacement of a space, if it holds the room too and has a policy, else the space itself.
func (s *Policies) moved(ctx context.Context, space, child id.RoomID, snap *room.Snapshot) (id.RoomID, *room.Snapshot, error) {
	list, err := s.upgrades.successors(ctx, space, policy.EventType)
	for _, next := range slices.Backward(list) {
		then, _, err := s.space(ctx, next, child)
		if err != nil {
			return "", nil, err
		}
		if then == nil {
			continue
		}
		if event, _ := then.Event(policy.Key()); event != nil {
			return next, then, nil
		}
	}
	return space, snap, err
}
