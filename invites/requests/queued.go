package requests

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Bounds of looking for rows that wait already: up to fewTargets are looked up one by one, of more those among the next rows of the room.
const (
	fewTargets = 20
	mostQueued = 5000
)

// refuseQueued refuses the invitations that wait to be sent by the same user already: a second row would only wait behind the first.
func (s *Requests) refuseQueued(ctx context.Context, rows []invites.Change) error {
	var queued map[id.UserID][]invites.Change
	for i := range rows {
		row := &rows[i]
		if row.Action != room.Invite || row.Status != invites.StatusOpen || row.Origin == invites.OriginAddress {
			continue
		}
		if queued == nil {
			var err error
			if queued, err = s.queued(ctx, rows); err != nil {
				return err
			}
		}
		for _, first := range queued[row.Target] {
			if first.Status == invites.StatusOpen && first.Performer == row.Performer {
				row.Status, row.SettledAt, row.Code = invites.StatusRefused, row.CreatedAt, invites.CodeQueued
				row.Detail = room.Say("detail.queued", "target", row.Target, "actor", first.Actor, "wait", max(0, first.DueAt.Sub(row.CreatedAt))).Holding(parts(first.Detail)...)
			}
		}
	}
	return nil
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

// queued returns the invitations that wait to be sent to the targets of some rows of one room.
func (s *Requests) queued(ctx context.Context, rows []invites.Change) (map[id.UserID][]invites.Change, error) {
	found := map[id.UserID][]invites.Change{}
	note := func(list []invites.Change, err error) error {
		for _, row := range list {
			found[row.Target] = append(found[row.Target], row)
		}
		return err
	}
	if len(rows) > fewTargets {
		return found, note(s.Store.UnsentIn(ctx, rows[0].Room, mostQueued))
	}
	for _, row := range rows {
		if err := note(s.Store.UnsentOf(ctx, row.Room, row.Target)); err != nil {
			return nil, err
		}
	}
	return found, nil
}
