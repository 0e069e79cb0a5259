package moves

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// Bounds of the search for rooms that name the old one.
const (
	roomsAtOnce = 100
	askedFor    = 7 * 24 * time.Hour // how long a card stays open
)

// others looks through the rooms of the bot, some at a time, for rooms that name the old one. Spaces that hold it, and rooms that name it as their
// space, get a second link, for the actor. Where the actor lacks the power, and for policies, a card asks the people of that room.
func (s *Moves) others(ctx context.Context, u *invites.Upgrade, _ judge.Replacement) error {
	rooms, err := s.Homeserver.JoinedRooms(ctx)
	if err != nil {
		return err
	}
	slices.Sort(rooms)
	if len(u.Rest) > 0 {
		at, found := slices.BinarySearch(rooms, id.RoomID(u.Rest[0]))
		if found {
			at++
		}
		rooms = rooms[at:]
	}
	for i, r := range rooms {
		if i == roomsAtOnce {
			u.Rest = []string{string(rooms[i-1])}
			return errLater
		}
		if r == u.Old || r == u.New {
			continue
		}
		if err := s.other(ctx, u, r); invites.UnlessUnseen(err) != nil {
			return err
		}
	}
	return nil
}

// other looks whether one room names the old one.
func (s *Moves) other(ctx context.Context, u *invites.Upgrade, r id.RoomID) error {
	needs := []room.Key{policy.Key(), linkTo(room.TypeSpaceChild, u.Old), linkTo(room.TypeSpaceParent, u.Old)}
	snap, err := s.look(ctx, r, false, needs...)
	if err != nil {
		return err
	}
	for _, kind := range []string{room.TypeSpaceChild, room.TypeSpaceParent} {
		content, err := missing(ctx, s, u, r, kind)
		if err != nil {
			return err
		}
		if content != nil {
			if err := s.link(ctx, u, r, kind, content); err != nil {
				return err
			}
		}
	}
	event, _ := snap.Event(policy.Key())
	if event == nil {
		return nil
	}
	paths, err := naming(ctx, s, u, r, policy.Read(r, event).Layer)
	if err != nil || len(paths) == 0 {
		return err
	}
	u.Note(room.Say("move.policy", "room", r))
	return s.askRoom(ctx, u, r, requests.ActionPolicy, policy.EventType,
		room.Say("move.ask.policy", "old", u.Old, "next", u.New, "by", u.Actor, "fields", strings.Join(paths, ", ")))
}

// link gives a room that has a link to the old room one to the new one: at once where the actor has the power, else by a card, if the old room
// has the other half of the link. Nobody else hears of the new room.
func (s *Moves) link(ctx context.Context, u *invites.Upgrade, r id.RoomID, kind string, content json.RawMessage) error {
	why, err := s.write(ctx, u, u.Actor, r, linkTo(kind, u.New), content)
	if err != nil {
		return err
	}
	if why.Empty() {
		u.Note(room.Say("move.space", "type", kind, "room", r))
		return nil
	}
	back := linkTo(room.TypeSpaceParent, r)
	if kind == room.TypeSpaceParent {
		back = linkTo(room.TypeSpaceChild, r)
	}
	then, err := s.look(ctx, u.Old, false, back)
	if err != nil {
		return err
	}
	if event, _ := then.Event(back); event == nil || blank(event.Content) {
		return nil
	}
	u.Note(room.Say("move.space.asked", "type", kind, "room", r).Holding(why))
	return s.askRoom(ctx, u, r, room.ActionType(kind), kind, room.Say("move.ask.space", "type", kind, "old", u.Old, "next", u.New, "by", u.Actor))
}

// naming lists the fields of a room's policy that name the old room and may do so: others learn nothing of the new one.
func naming(ctx context.Context, s *Moves, u *invites.Upgrade, r id.RoomID, layer policy.Layer) (paths []string, err error) {
	named := layer.Naming(u.Old)
	if len(named) == 0 {
		return nil, nil
	}
	p, err := s.Judge.Policies.Of(ctx, r, s.Self.Bot)
	if err == nil && p == nil {
		err = invites.ErrKept
	}
	if err != nil {
		return nil, err
	}
	for _, path := range named {
		for _, other := range []id.RoomID{u.Old, u.New} {
			may, err := s.Judge.Reach.Reaches(ctx, r, other, p, path, false)
			if err != nil {
				return nil, err
			}
			if may {
				paths = append(paths, path)
				break
			}
		}
	}
	return paths, nil
}

// linkTo is the key of the link of one room to another.
func linkTo(kind string, r id.RoomID) room.Key { return room.Key{Type: kind, StateKey: string(r)} }

// missing returns the content of a room's link to the old room, where it has none to the new one; else nil.
func missing(ctx context.Context, s *Moves, u *invites.Upgrade, r id.RoomID, kind string) (json.RawMessage, error) {
	snap, err := s.look(ctx, r, false, linkTo(kind, u.Old), linkTo(kind, u.New))
	if err != nil {
		return nil, err
	}
	was, _ := snap.Event(linkTo(kind, u.Old))
	now, _ := snap.Event(linkTo(kind, u.New))
	if was == nil || blank(was.Content) || now != nil && !blank(now.Content) {
		return nil, nil
	}
	return was.Content, nil
}

// askRoom opens a card in a room, on which users with the power to send a type of state decide about the new name.
func (s *Moves) askRoom(ctx context.Context, u *invites.Upgrade, r id.RoomID, action room.ActionType, kind string, question room.Phrase) error {
	snap, err := s.look(ctx, r, false, powers(s.Self.Bot)...)
	if err != nil {
		return err
	}
	level, known := snap.NeededToSend(kind)
	if !known {
		return nil
	}
	now := s.Clock.Now()
	_, err = s.Store.OpenCard(ctx, invites.Card{
		Kind: invites.CardMove, Room: r, ShownIn: r, Command: id.EventID(u.Key()), Home: r, Action: action, Actor: s.Self.Bot, Remark: question,
		Votes: 1, Level: level, CreatedAt: now, ExpiresAt: now.Add(askedFor), State: invites.CardOpen,
	})
	return err
}

// Confirmed does what people agreed to on a card of an upgrade, in the name of the voter. The row tells why it could not be done.
func (s *Moves) Confirmed(ctx context.Context, c invites.Card) (row invites.Change, err error) {
	u, err := ofKey(ctx, s, string(c.Command))
	if errors.Is(err, invites.ErrNotFound) {
		return row, nil
	}
	if err != nil {
		return row, err
	}
	found, err := s.Judge.Reach.Replaces(ctx, u.New)
	if err != nil {
		return row, invites.UnlessUnseen(err)
	}
	refused := func(code string, why room.Phrase) invites.Change {
		return invites.Change{ID: c.ID, Room: c.Room, Actor: c.ClosedBy, Status: invites.StatusRefused, Code: code, Detail: why}
	}
	if found.Old != u.Old {
		return refused(codeGone, room.Say("move.gone")), nil
	}
	if c.Action != requests.ActionPolicy {
		content, err := missing(ctx, s, &u, c.Room, string(c.Action))
		if err != nil || content == nil {
			return row, invites.UnlessUnseen(err)
		}
		why, err := s.write(ctx, &u, c.ClosedBy, c.Room, linkTo(string(c.Action), u.New), content)
		if err != nil || why.Empty() {
			return row, err
		}
		return refused(codePower, why), nil
	}
	err = rename(ctx, s, u, c)
	var refusal requests.Refusal
	if errors.As(err, &refusal) {
		return refused(refusal.Code, refusal.Phrase), nil
	}
	return row, invites.UnlessUnseen(err)
}

// Reason codes of cards that led to nothing.
const (
	codeGone  = "upgrade.gone"  // the room is no replacement of the old one any more
	codePower = "upgrade.power" // the voter, or the bot for them, may not write it
)

// rename has the policy of a card's room name the new room, in the name of the voter, who becomes its author.
func rename(ctx context.Context, s *Moves, u invites.Upgrade, c invites.Card) error {
	source, err := s.Judge.Policies.Own(ctx, c.Room, s.Self.Bot)
	if err != nil || len(source.Layer.Naming(u.Old)) == 0 {
		return err
	}
	_, err = s.Editor.Write(ctx, requests.Edit{Command: c.Command, Room: c.Room, Actor: c.ClosedBy, Layer: source.Layer.Renamed(u.Old, u.New)})
	return err
}
