package requests

import (
	"context"
	"errors"
	"slices"
	"time"

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
	for _, r := range l.Rooms {
		more, err := s.Ask(ctx, Request{
			Origin: invites.OriginLink, Key: links.Request(use, r), Actor: l.Maker, Action: room.Invite, Room: r, Targets: []id.UserID{user}, Reason: l.Welcome,
			Link: s.Links.PolicyUse(l, use), Approve: l.Approve, counted: true,
		})
		if err != nil {
			return use, rows, err
		}
		rows = append(rows, more...)
		if s.Poster != nil && slices.ContainsFunc(more, func(row invites.Change) bool { return row.Status == invites.StatusWaiting }) {
			s.Poster.Post(id.EventID(links.Request(use, r))) // no lane does: there is no command
		}
	}
	if fresh && allRefused(rows) {
		err = s.Links.GiveBack(ctx, use)
	}
	return use, rows, err
}

// allRefused reports whether a use led to nothing but refusals.
func allRefused(rows []invites.Change) bool {
	return !slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Status != invites.StatusRefused })
}

// justNow is the longest time from a knock to its handling, as after a crash.
const justNow = time.Minute

// UseKnock uses the link whose code is the reason of a user's knock at a room. It reports whether there is such a link, and it let the user
// in or asked people to: else the knock is one as any other.
func (s *Requests) UseKnock(ctx context.Context, user id.UserID, r id.RoomID, reason string) (used bool, err error) {
	l, err := s.Links.ByKnock(ctx, user, r, reason)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	use, rows, err := s.UseLink(ctx, l, user)
	if refusal := (links.Refusal{}); errors.As(err, &refusal) {
		return false, nil
	}
	again := s.Clock.Now().Sub(use.At) > justNow // the link opened the door to them once, and they came back
	return err == nil && !again && !allRefused(rows), err
}
