package cards

import (
	"context"
	"slices"

	"usher/invites"
	"usher/room"
)

// Bounds of approval: how many invitations that need it one command may ask for, since each becomes a card, and how many cards a user
// may have open in all rooms, since all open cards are looked after every few seconds.
const (
	maxAsked = 20
	maxOpen  = 100
)

// Limit refuses, of the rows that would wait for approval, those that are asked for already, and those that are too many.
func (s *Cards) Limit(ctx context.Context, rows []invites.Change) error {
	if !slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Status == invites.StatusWaiting }) {
		return nil
	}
	todo, err := s.Store.CardsTodo(ctx)
	if err != nil {
		return err
	}
	waiting, open := 0, 0
	for _, c := range todo {
		if c.Kind == invites.CardApproval && c.State == invites.CardOpen && c.Actor == rows[0].Actor {
			open++
		}
	}
	for i := range rows {
		row := &rows[i]
		if row.Status != invites.StatusWaiting {
			continue
		}
		same := slices.IndexFunc(todo, func(c invites.Card) bool {
			return c.Kind == invites.CardApproval && c.State == invites.CardOpen && c.Room == row.Room && c.Target == row.Target
		})
		switch waiting++; {
		case same >= 0:
			row.Code = invites.CodeAsked
			row.Detail = room.Say("detail.asked", "actor", todo[same].Actor, "number", todo[same].Number)
		case waiting > maxAsked:
			row.Code, row.Detail = invites.CodeTooMany, room.Say("detail.many_asked", "most", maxAsked)
		case open+waiting > maxOpen:
			row.Code, row.Detail = invites.CodeTooMany, room.Say("detail.many_open", "n", open)
		default:
			continue
		}
		row.Status, row.SettledAt = invites.StatusRefused, row.CreatedAt
	}
	return nil
}
