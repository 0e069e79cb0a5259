package cards

import (
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
)

// OpenKnocks returns the open knock cards shown in a room, for an asker in the room, and the cards found to stand no more, which were closed
// and are to be shown so.
func (s *Cards) OpenKnocks(ctx context.Context, asker id.UserID, shownIn id.RoomID) (open, closed []invites.Card, err error) {
	if err := s.Judge.Reach.Member(ctx, shownIn, asker); err != nil {
		return nil, nil, err
	}
	shown, err := s.Store.OpenCards(ctx, invites.CardQuery{Kind: invites.CardKnock, ShownIn: shownIn})
	if err != nil {
		return nil, nil, err
	}
	return reviewed(ctx, s, shown, true)
}

// Questions returns the open cards shown in a room, for an asker in the room, and the cards about the room that are shown elsewhere, as far as
// the asker may know of them: their own, and with the power to kick all. It also returns the cards found to stand no more, as OpenKnocks does.
func (s *Cards) Questions(ctx context.Context, asker id.UserID, r id.RoomID) (open, closed []invites.Card, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, nil, err
	}
	var list []invites.Card
	for _, kind := range []invites.CardKind{invites.CardApproval, invites.CardKnock} {
		for _, q := range []invites.CardQuery{{Kind: kind, ShownIn: r}, {Kind: kind, Room: r}} {
			some, err := s.Store.OpenCards(ctx, q)
			if err != nil {
				return nil, nil, err
			}
			for _, c := range some {
				if q.ShownIn == r || c.ShownIn != r {
					list = append(list, c)
				}
			}
		}
	}
	elsewhere := func(c invites.Card) bool { return c.ShownIn != r && c.Actor != asker }
	if slices.ContainsFunc(list, elsewhere) {
		if err := s.Judge.Reach.MayKick(ctx, r, asker); errors.Is(err, judge.ErrKickPower) {
			list = slices.DeleteFunc(list, elsewhere)
		} else if err != nil {
			return nil, nil, err
		}
	}
	return reviewed(ctx, s, list, false)
}

// reviewed reviews cards, and parts those that stand from those that stand no more.
func reviewed(ctx context.Context, s *Cards, list []invites.Card, thorough bool) (open, closed []invites.Card, err error) {
	for _, card := range list {
		if card, err = s.Review(ctx, card, thorough); err != nil {
			return nil, nil, err
		}
		if card.State == invites.CardOpen {
			open = append(open, card)
		} else {
			closed = append(closed, card)
		}
	}
	return open, closed, nil
}
