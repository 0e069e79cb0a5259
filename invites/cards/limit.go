package cards

import (
	"context"
	"slices"

	"usher/invites"
	"usher/room"
)

// Bounds of approval: how many invitations in need of it one command may ask for, since each becomes a card, how many cards a user may have
// open in all rooms, and how many may be open about one room, since people have to decide them.
const (
	maxAsked = 20
	maxOpen  = 100
	maxRoom  = 400
)

// Limit refuses, among the rows about to wait for approval, the rows asked for already, and the rows beyond the limits. before is how many
// rows of the same request wait already.
func (s *Cards) Limit(ctx context.Context, rows []invites.Change, before int) error {
	if !slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Status == invites.StatusWaiting }) {
		return nil
	}
	there, err := s.Store.OpenCards(ctx, invites.CardQuery{Kind: invites.CardApproval, Room: rows[0].Room})
	if err != nil {
		return err
	}
	open, err := s.Store.CountCards(ctx, invites.CardQuery{Kind: invites.CardApproval, Actor: rows[0].Actor})
	if err != nil {
		return err
	}
	waiting := 0
	for i := range rows {
		row := &rows[i]
		if row.Status != invites.StatusWaiting {
			continue
		}
		same := slices.IndexFunc(there, func(c invites.Card) bool { return c.Target == row.Target })
		switch waiting++; {
		case same >= 0:
			row.Code = invites.CodeAsked
			row.Detail = room.Say("detail.asked", "actor", there[same].Actor, "number", there[same].Number)
		case before+waiting > maxAsked:
			row.Code, row.Detail = invites.CodeTooMany, room.Say("detail.many_asked", "most", maxAsked)
		case open+waiting > maxOpen:
			row.Code, row.Detail = invites.CodeTooMany, room.Say("detail.many_open", "n", open, "most", maxOpen)
		case len(there)+waiting > maxRoom:
			row.Code, row.Detail = invites.CodeTooMany, room.Say("detail.room_full", "n", len(there), "most", maxRoom)
		default:
			continue
		}
		row.Status, row.SettledAt = invites.StatusRefused, row.CreatedAt
	}
	return nil
}
