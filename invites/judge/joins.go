package judge

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// Joining is a decision on a join.
type Joining struct {
	Judgement
	Asks bool // the join rules leave it to Usher whether the user comes in: the policy must admit the user as well
}

// Join decides on a join by a user's own client, as far as the policy of the room has a say in it. The bot is in the room.
func (s *Judge) Join(ctx context.Context, r id.RoomID, user id.UserID) (Joining, error) {
	j := Joining{Judgement: Judgement{Question: policy.Question{Action: room.Join, Actor: user, Performer: user, Target: user}}}
	j.Decision = policy.Decision{Verdict: room.Unknown, Code: policy.CodeNoView}
	snap, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, policy.JoinKeys(user), false)
	if errors.Is(err, invites.ErrNoView) {
		return j, nil
	}
	if err != nil {
		return j, fmt.Errorf("reading the room's state: %w", err)
	}
	asks, among, known := policy.Asks(snap, user)
	p, err := s.Policies.inForce(ctx, r, s.self.Bot, snap)
	if err != nil || p == nil || !known {
		return j, err
	}
	if j.Asks = asks; asks {
		member, err := s.amongst(ctx, among, user)
		if err != nil {
			return j, err
		}
		j.Asks = !member
	}
	f, err := s.facts(ctx, r, j.Question, p, snap, policy.Facts{Now: s.clock.Now()}, &Reader{Native: true, Viewer: s.self.Bot})
	if err != nil {
		return j, fmt.Errorf("finding out what the room's policy depends on: %w", err)
	}
	j.Decision = policy.DecideJoin(snap, user, p, f)
	return j, nil
}

// mostAmong is in how many rooms named by join rules a user is looked for.
const mostAmong = 10

// amongst reports whether the bot sees a user joined to one of some rooms.
func (s *Judge) amongst(ctx context.Context, rooms []id.RoomID, user id.UserID) (bool, error) {
	for _, r := range rooms[:min(len(rooms), mostAmong)] {
		snap, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, []room.Key{room.MemberKey(user)}, false)
		if err != nil && !invites.Unseen(err) {
			return false, err
		}
		if err != nil {
			continue
		}
		if membership, known := snap.Membership(user); known && membership == "join" {
			return true, nil
		}
	}
	return false, nil
}
