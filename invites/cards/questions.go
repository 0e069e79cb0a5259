package cards

import (
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/room"
)

// thoroughly is for how many cards one question asks the homeserver whether they were redacted; events tell of the others in time.
const thoroughly = 20

// OpenKnocks returns the open knock cards that a room shows, and those about the room that another one shows, for an asker in the room: its members
// see who knocks. It also returns the cards found to stand no more, which were closed and are to be shown so.
func (s *Cards) OpenKnocks(ctx context.Context, asker id.UserID, r id.RoomID) (open, closed []invites.Card, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, nil, err
	}
	list, err := cardsIn(ctx, s, invites.CardKnock, r)
	if err != nil {
		return nil, nil, err
	}
	return reviewed(ctx, s, list, thoroughly)
}

// cardsIn lists the open cards of a kind that a room shows, and then those about the room that another one shows.
func cardsIn(ctx context.Context, s *Cards, kind invites.CardKind, r id.RoomID) (list []invites.Card, err error) {
	for _, q := range []invites.CardQuery{{Kind: kind, ShownIn: r}, {Kind: kind, Room: r}} {
		some, err := s.Store.OpenCards(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			if q.ShownIn == r || c.ShownIn != r {
				list = append(list, c)
			}
		}
	}
	return list, nil
}

// Questions returns the open cards shown in a room, for an asker in the room, and the cards about the room that are shown elsewhere, as far as
// the asker may know of them: their own, and with the power to kick all. It also returns the cards found to stand no more, as OpenKnocks does.
func (s *Cards) Questions(ctx context.Context, asker id.UserID, r id.RoomID) (open, closed []invites.Card, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, nil, err
	}
	var list []invites.Card
	for _, kind := range []invites.CardKind{invites.CardApproval, invites.CardKnock} {
		some, err := cardsIn(ctx, s, kind, r)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, some...)
	}
	elsewhere := func(c invites.Card) bool { return c.ShownIn != r && c.Actor != asker }
	if slices.ContainsFunc(list, elsewhere) {
		if err := s.Judge.Reach.MayKick(ctx, r, asker); errors.Is(err, judge.ErrKickPower) {
			list = slices.DeleteFunc(list, elsewhere)
		} else if err != nil {
			return nil, nil, err
		}
	}
	return reviewed(ctx, s, list, 0)
}

// reviewed reviews cards, the first ones thoroughly, and parts those that stand from those that stand no more.
func reviewed(ctx context.Context, s *Cards, list []invites.Card, thorough int) (open, closed []invites.Card, err error) {
	for i, card := range list {
		if card, err = s.Review(ctx, card, i < thorough); err != nil {
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

// maxDeciders bounds how many people a card calls.
const maxDeciders = 10

// Deciders returns the people to call to a card: those whom the power levels of its room name with the power to decide it, the most powerful
// first.
func (s *Cards) Deciders(ctx context.Context, c invites.Card) (list []id.UserID, err error) {
	snap, err := s.Homeserver.Snapshot(ctx, c.Room, s.Self.Bot, []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}}, false)
	if err != nil {
		return nil, invites.UnlessUnseen(err)
	}
	for _, user := range snap.Named() {
		power, known := snap.Power(user)
		if known && power >= c.Level && user != s.Self.Bot && user != c.Actor && user != c.Target && len(list) < maxDeciders {
			list = append(list, user)
		}
	}
	return list, nil
}
