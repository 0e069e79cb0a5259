package invites

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// mayBeTheirs reports whether a withdrawal by the bot fails for nothing but the actor's power, so that it matters whose the
// invitation is.
func (s *Service) mayBeTheirs(j Judgement) bool {
	q, d := j.Question, j.Decision
	return q.Action == policy.ActionWithdraw && q.Performer == s.Self.Bot && q.Actor != s.Self.Bot &&
		d.Side == policy.SideActor && policy.LacksKick(d.Verdict, d.Code)
}

// theirs reports whether the open invitation that a withdrawal is about is one that the actor had the bot send: by the ledger,
// if it knows the very event that the room shows, and by the row that was carried out. With it comes the room's policy, which may let
// them take it back; no policy that could be read is as good as none.
func (s *Service) theirs(ctx context.Context, r id.RoomID, q policy.Question, w *purse, snap *room.Snapshot) (*policy.InForce, bool, error) {
	entry, err := s.Store.PendingOf(ctx, r, q.Target)
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if entry.Way != WayBot || entry.Sender != s.Self.Bot || entry.Inviter != q.Actor || entry.Event != memberEvent(snap, q.Target) {
		return nil, false, nil
	}
	rows, err := s.Store.Invitations(ctx, entry.Command)
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		if row.Action == room.Invite && row.Room == r && row.Target == q.Target && row.Actor == q.Actor && row.Performer == s.Self.Bot &&
			row.Status == StatusDone && row.Code != string(policy.CodeAlready) {
			p, err := s.inForce(ctx, r, w.reader(q), snap)
			return p, p != nil, err
		}
	}
	return nil, false, nil
}
