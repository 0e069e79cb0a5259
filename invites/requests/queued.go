package requests

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// refuseQueued refuses the invitations that wait to be sent by the same user already: a second row would only wait behind the first.
func (s *Requests) refuseQueued(ctx context.Context, rows []invites.Change) error {
	var targets []id.UserID
	for _, row := range rows {
		if opensInvitation(row) {
			targets = append(targets, row.Target)
		}
	}
	if len(targets) == 0 {
		return nil
	}
	queued, err := s.Store.UnsentOf(ctx, rows[0].Room, targets...)
	if err != nil || len(queued) == 0 {
		return err
	}
	first := make(map[sent]invites.Change, len(queued))
	for _, row := range slices.Backward(queued) {
		if row.Status == invites.StatusOpen {
			first[sent{row.Target, row.Performer}] = row
		}
	}
	for i := range rows {
		row := &rows[i]
		if before, waits := first[sent{row.Target, row.Performer}]; waits && opensInvitation(*row) {
			row.Status, row.SettledAt, row.Code = invites.StatusRefused, row.CreatedAt, invites.CodeQueued
			row.Detail = room.Say("detail.queued", "target", row.Target, "actor", before.Actor, "wait", max(0, before.DueAt.Sub(row.CreatedAt))).Holding(parts(before.Detail)...)
		}
	}
	return nil
}

// sent is a user and who sends their invitation.
type sent struct{ target, performer id.UserID }

func opensInvitation(row invites.Change) bool {
	return row.Action == room.Invite && row.Status == invites.StatusOpen
}

// parts are the non-empty ones of some phrases.
func parts(all ...room.Phrase) (some []room.Phrase) {
	for _, p := range all {
		if !p.Empty() {
			some = append(some, p)
		}
	}
	return some
}
