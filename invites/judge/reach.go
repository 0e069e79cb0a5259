package judge

import (
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

// Reach tells which rooms a policy may name, and which users may ask about a room.
type Reach struct {
	homeserver Homeserver
	self       invites.Identity
}

// Errors of those who may not ask about a room.
var (
	// ErrNotJoined says that the asker is not in the room: its invitations are its members' business.
	ErrNotJoined = errors.New("judge: the asker is not in the room")
	// ErrKickPower says that the asker lacks the power to kick.
	ErrKickPower = errors.New("judge: the asker lacks the power to kick")
)

// maxKeepers bounds how many of a room's people are looked for in another room.
const maxKeepers = 20

// Reaches tells whether a room's policy may name another room: somebody who may write the policy must be a member there, and
// may speak there, if the bot is to speak. Else anybody could make a room of their own to have the bot write into, or look into,
// rooms that they are not in.
func (s *Reach) Reaches(ctx context.Context, r, other id.RoomID, speak bool) (bool, error) {
	if r == other {
		return true, nil
	}
	create, levels := room.Key{Type: room.TypeCreate}, room.Key{Type: room.TypePowerLevels}
	here, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, []room.Key{create, levels}, false)
	if err != nil {
		return false, unlessNoView(err)
	}
	keepers := keepersOf(here, s.self.Bot)
	members := make([]room.Key, len(keepers))
	for i, user := range keepers {
		members[i] = room.MemberKey(user)
	}
	if here, err = s.homeserver.Snapshot(ctx, r, s.self.Bot, append(members, create, levels), false); err != nil {
		return false, unlessNoView(err)
	}
	there, err := s.homeserver.Snapshot(ctx, other, s.self.Bot, append(members, create, levels), false)
	if err != nil {
		return false, unlessNoView(err)
	}
	for _, user := range keepers {
		membership, known := there.Membership(user)
		writes := here.CanSend(user, policy.EventType, true).Verdict == room.Allow
		speaks := !speak || there.CanSend(user, room.TypeMessage, false).Verdict == room.Allow
		if known && membership == "join" && writes && speaks {
			return true, nil
		}
	}
	return false, nil
}

// mayRead tells whether a user may read a room's state themselves, by the state that the bot sees: as a member, or because anybody
// may. The bot lends its view to nobody else.
func (s *Reach) mayRead(ctx context.Context, r id.RoomID, user id.UserID) (bool, error) {
	member, visibility := room.MemberKey(user), room.Key{Type: room.TypeHistoryVisibility}
	snap, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, []room.Key{member, visibility, {Type: room.TypeJoinRules}}, false)
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

// unlessNoView drops ErrNoView.
func unlessNoView(err error) error {
	if errors.Is(err, invites.ErrNoView) {
		return nil
	}
	return fmt.Errorf("reading a room's state: %w", err)
}

// keepersOf lists the users whom a room gives power by name, but the bot, the strongest first: a crowd with little power hides nobody.
func keepersOf(s *room.Snapshot, bot id.UserID) []id.UserID {
	all := slices.DeleteFunc(s.Named(), func(user id.UserID) bool { return user == bot })
	return all[:min(len(all), maxKeepers)]
}

// Member returns nil where the asker is in the room, as far as that can be seen on their behalf, else ErrNotJoined.
func (s *Reach) Member(ctx context.Context, r id.RoomID, asker id.UserID) error {
	snap, err := s.homeserver.Snapshot(ctx, r, asker, []room.Key{room.MemberKey(asker)}, false)
	if errors.Is(err, invites.ErrNoView) {
		return ErrNotJoined
	}
	if err != nil {
		return fmt.Errorf("reading the room's state: %w", err)
	}
	if membership, _ := snap.Membership(asker); membership != "join" {
		return ErrNotJoined
	}
	return nil
}

// MayKick returns nil where the asker's power in the room suffices to kick users who have none, else ErrKickPower.
func (s *Reach) MayKick(ctx context.Context, r id.RoomID, asker id.UserID) error {
	kick := KickAnybody(asker)
	snap, err := s.homeserver.Snapshot(ctx, r, asker, room.Needs(kick), false)
	if errors.Is(err, invites.ErrNoView) {
		return ErrKickPower
	}
	if err != nil {
		return fmt.Errorf("reading the room's state: %w", err)
	}
	if room.Authorize(snap, kick).Verdict != room.Allow {
		return ErrKickPower
	}
	return nil
}

// KickAnybody is the kick of a user who is surely not there: the sender's own standing decides.
func KickAnybody(sender id.UserID) room.Action {
	return room.Action{Type: room.Kick, Sender: sender, Target: id.NewUserID("nobody", "invalid")}
}
