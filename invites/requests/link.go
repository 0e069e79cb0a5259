package requests

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
	"usher/room"
)

// UseLink invites a user into the rooms of a link, in the name of the link's maker, and returns the use with the rows. A user uses a link
// once: the next call goes on where the first one ended. A use that leads to nothing but refusals is given back. The error is a links.Refusal
// where the link does not work.
func (s *Requests) UseLink(ctx context.Context, l invites.Link, user id.UserID) (invites.LinkUse, []invites.Change, error) {
	use, fresh, err := s.Links.Take(ctx, l, user)
	if err != nil {
		return use, nil, err
	}
	var rows []invites.Change
	refused := true
	for _, r := range l.Rooms {
		more, err := s.Ask(ctx, Request{
			Origin: invites.OriginLink, Key: links.Request(use, r), Actor: l.Maker, Action: room.Invite, Room: r, Targets: []id.UserID{user}, Reason: l.Welcome,
			Link: s.Links.PolicyUse(l, use), Approve: l.Approve,
		})
		if err != nil {
			return use, rows, err
		}
		rows = append(rows, more...)
		refused = refused && len(more) > 0 && more[0].Status == invites.StatusRefused
	}
	if !refused {
		return use, rows, nil
	}
	if fresh {
		err = s.Links.GiveBack(ctx, use)
	}
	return use, rows, err
}
