package invites

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/policy"
	"usher/room"
)

// maxKeepers bounds how many of a room's people are looked for in another room.
const maxKeepers = 20

// reaches tells whether a room's policy may name another room: somebody who may write the policy must be a member there, and
// speak, if the bot is to speak for it. Else anybody could make a room of their own to have the bot write into, or look into,
// rooms that they are not in.
func (s *Service) reaches(ctx context.Context, r, other id.RoomID, speak bool) (bool, error) {
	if r == other {
		return true, nil
	}
	create, levels := room.Key{Type: "m.room.create"}, room.Key{Type: "m.room.power_levels"}
	here, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, []room.Key{create, levels}, false)
	if err != nil {
		return false, unlessNoView(err)
	}
	keepers := keepers(here, s.Self.Bot)
	members := make([]room.Key, len(keepers))
	for i, user := range keepers {
		members[i] = room.MemberKey(user)
	}
	if here, err = s.Homeserver.Snapshot(ctx, r, s.Self.Bot, append(members, create, levels), false); err != nil {
		return false, unlessNoView(err)
	}
	there, err := s.Homeserver.Snapshot(ctx, other, s.Self.Bot, append(members, create, levels), false)
	if err != nil {
		return false, unlessNoView(err)
	}
	for _, user := range keepers {
		membership, known := there.Membership(user)
		writes := here.CanSend(user, policy.EventType, true).Verdict == room.Allow
		speaks := !speak || there.CanSend(user, "m.room.message", false).Verdict == room.Allow
		if known && membership == "join" && writes && speaks {
			return true, nil
		}
	}
	return false, nil
}

// mayRead tells whether somebody may read a room's state themselves, by what the bot sees of it: as a member, or because anybody
// may. The bot's view is lent to nobody else.
func (s *Service) mayRead(ctx context.Context, r id.RoomID, user id.UserID) (bool, error) {
	member, visibility := room.MemberKey(user), room.Key{Type: "m.room.history_visibility"}
	snap, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, []room.Key{member, visibility, {Type: "m.room.join_rules"}}, false)
	if err != nil {
		return false, unlessNoView(err)
	}
	if membership, known := snap.Membership(user); known && membership == "join" {
		return true, nil
	}
	if rule, known := snap.JoinRule(); known && rule == "public" {
		return true, nil
	}
	event, _ := snap.Event(visibility)
	return event != nil && exactjson.Text(event.Content, "history_visibility") == "world_readable", nil
}

// unlessNoView drops ErrNoView; another error is the homeserver's.
func unlessNoView(err error) error {
	if errors.Is(err, ErrNoView) {
		return nil
	}
	return fmt.Errorf("reading a room's state: %w", err)
}

// keepers lists the users whom a room gives power by name, but the bot, the strongest first: a crowd with little power hides nobody.
func keepers(s *room.Snapshot, bot id.UserID) []id.UserID {
	all := slices.DeleteFunc(s.Named(), func(user id.UserID) bool { return user == bot })
	return all[:min(len(all), maxKeepers)]
}

// How many invitations that need approval one command may ask for, since each becomes a card, and how many cards somebody may have
// open, in all rooms: all that are open are looked after every few seconds.
const (
	maxAsked = 20
	maxOpen  = 100
)

// limitCards refuses, of the rows that would wait for approval, those that are asked for already, and those that are too many.
func (s *Service) limitCards(ctx context.Context, rows []Change) error {
	if !slices.ContainsFunc(rows, func(row Change) bool { return row.Status == StatusWaiting }) {
		return nil
	}
	todo, err := s.Store.CardsTodo(ctx)
	if err != nil {
		return err
	}
	waiting, open := 0, 0
	for _, c := range todo {
		if c.Kind == CardApproval && c.State == CardOpen && c.Actor == rows[0].Actor {
			open++
		}
	}
	for i := range rows {
		row := &rows[i]
		if row.Status != StatusWaiting {
			continue
		}
		same := slices.IndexFunc(todo, func(c Card) bool {
			return c.Kind == CardApproval && c.State == CardOpen && c.Room == row.Room && c.Target == row.Target
		})
		switch waiting++; {
		case same >= 0:
			row.Code = CodeAsked
			row.Detail = fmt.Sprintf("%s asked for that already; it waits for approval as #%d.", todo[same].Actor, todo[same].Number)
		case waiting > maxAsked:
			row.Code, row.Detail = CodeTooMany, fmt.Sprintf("Approval can be asked for %d people at a time.", maxAsked)
		case open+waiting > maxOpen:
			row.Code, row.Detail = CodeTooMany, fmt.Sprintf("You have asked for approval for %d people already who still wait for it.", open)
		default:
			continue
		}
		row.Status, row.SettledAt = StatusRefused, row.CreatedAt
	}
	return nil
}
