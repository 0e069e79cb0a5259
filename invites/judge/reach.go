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
	policies   *Policies
}

// Errors for users who may not ask about a room.
var (
	// ErrNotJoined means: the asker is not in the room; its invitations are its members' business.
	ErrNotJoined = errors.New("judge: the asker is not in the room")
	// ErrKickPower means: the asker lacks the power to kick.
	ErrKickPower = errors.New("judge: the asker lacks the power to kick")
)

// Reaches reports whether a field of a room's policy may name another room. The author of the field must still have the power to write the
// policy, and be a member there, who may speak there if the bot is to speak; or the policy of the other room agrees (named_by). Otherwise
// anybody could make a room of their own to have the bot write into, or look into, rooms without them as a member.
func (s *Reach) Reaches(ctx context.Context, r, other id.RoomID, p *policy.InForce, path string, speak bool) (bool, error) {
	if r == other {
		return true, nil
	}
	source, set := p.From(path)
	person := source.Person(s.self.Bot)
	if !set || source.Fault != nil || source.Lapsed || person == "" {
		return false, nil
	}
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(person)}
	if !source.Inherited { // of a space, Lapsed tells
		here, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, needs, false)
		if err != nil {
			return false, unlessNoView(err)
		}
		if here.CanSend(person, policy.EventType, true).Verdict != room.Allow {
			return false, nil
		}
	}
	there, err := s.homeserver.Snapshot(ctx, other, s.self.Bot, needs, false)
	if err != nil {
		return false, unlessNoView(err)
	}
	membership, known := there.Membership(person)
	if known && membership == "join" && (!speak || there.CanSend(person, room.TypeMessage, false).Verdict == room.Allow) {
		return true, nil
	}
	return s.agrees(ctx, other, r, source.Room)
}

// agrees reports whether the policy of a room lets the policies of one of some others name it. As with a lending field, the author must be able
// to write it, and to speak in the room, today.
func (s *Reach) agrees(ctx context.Context, other id.RoomID, others ...id.RoomID) (bool, error) {
	p, err := s.policies.Of(ctx, other, s.self.Bot)
	if err != nil || p == nil || p.Fault() != nil {
		return false, invites.UnlessUnseen(err)
	}
	if !slices.ContainsFunc(p.Document.NamedBy, func(r id.RoomID) bool { return slices.Contains(others, r) }) {
		return false, nil
	}
	source, _ := p.From("named_by")
	person := source.Person(s.self.Bot)
	if person == "" {
		return false, nil
	}
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(person)}
	snap, err := s.homeserver.Snapshot(ctx, other, s.self.Bot, needs, false)
	if err != nil {
		return false, unlessNoView(err)
	}
	return p.SpokenBy(snap, "named_by", s.self.Bot) == room.Allow, nil
}

// mayRead tells whether a user may read a room's state themselves, by the state seen by the bot: as a member, or because anybody
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

// IsSpace reports whether a room is a space, as far as a user may see it.
func (s *Reach) IsSpace(ctx context.Context, r id.RoomID, asker id.UserID) (bool, error) {
	create := room.Key{Type: room.TypeCreate}
	snap, err := s.homeserver.Snapshot(ctx, r, asker, []room.Key{create}, false)
	if err != nil {
		return false, invites.UnlessUnseen(err)
	}
	event, _ := snap.Event(create)
	return event != nil && exactjson.Text(event.Content, "type") == "m.space", nil
}

// Member returns nil where the asker is in the room, as far as their membership can be seen on their behalf, else ErrNotJoined.
func (s *Reach) Member(ctx context.Context, r id.RoomID, asker id.UserID) error {
	snap, err := s.homeserver.Snapshot(ctx, r, asker, []room.Key{room.MemberKey(asker)}, false)
	if errors.Is(err, invites.ErrNoView) {
		return ErrNotJoined
	}
	if err != nil {
		return fmt.Errorf("reading the room's state: %w", err)
	}
	switch membership, known := snap.Membership(asker); {
	case !known:
		return invites.ErrKept
	case membership != "join":
		return ErrNotJoined
	}
	return nil
}

// MayKick returns nil where the asker's power in the room suffices to kick users without power, else ErrKickPower.
func (s *Reach) MayKick(ctx context.Context, r id.RoomID, asker id.UserID) error {
	kick := KickAnybody(asker)
	snap, err := s.homeserver.Snapshot(ctx, r, asker, room.Needs(kick), false)
	if errors.Is(err, invites.ErrNoView) {
		return ErrKickPower
	}
	if err != nil {
		return fmt.Errorf("reading the room's state: %w", err)
	}
	switch room.Authorize(snap, kick).Verdict {
	case room.Allow:
		return nil
	case room.Unknown:
		return invites.ErrKept
	}
	return ErrKickPower
}

// InviteAnybody is the invitation of a user surely not there: the standing of actor and performer decides.
func InviteAnybody(self invites.Identity, actor id.UserID) policy.Question {
	nobody := id.NewUserID("nobody/usher", self.Domain)
	return policy.Question{Action: room.Invite, Actor: actor, Performer: self.Performer(room.Invite, actor, nobody, false), Target: nobody}
}

// KickAnybody is the kick of a user surely not there: the sender's own standing decides.
func KickAnybody(sender id.UserID) room.Action {
	return room.Action{Type: room.Kick, Sender: sender, Target: id.NewUserID("nobody", "invalid")}
}
