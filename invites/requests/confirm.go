package requests

import (
	"context"
	"fmt"
	"math"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Propose opens the card on which the actor of a request confirms it, until a time. The card keeps the room and the targets: at the
// confirmation, an alias may name another room.
func (s *Requests) Propose(ctx context.Context, req Request, until time.Time) error {
	_, err := s.Store.OpenCard(ctx, invites.Card{
		Kind: invites.CardConfirm, Room: req.Room, ShownIn: req.CommandRoom, Command: req.Command, Home: req.CommandRoom, Action: req.Action,
		Actor: req.Actor, Performer: s.Self.Performer(req.Action, req.Actor, "", req.AsBot), Targets: req.Targets, Reason: req.Reason,
		Votes: 1, Level: math.MaxInt64, // an older version, which judges votes by power, counts none
		CreatedAt: s.Clock.Now(), ExpiresAt: until, State: invites.CardOpen,
	})
	if err != nil {
		return fmt.Errorf("opening a confirmation: %w", err)
	}
	return nil
}

// proposals is how many cards of one command are read. One of them at most asks its actor.
const proposals = 100

// Proposed returns the request proposed by a command, and whether its actor has seen the card or has confirmed the command. Without
// a card the request is zero.
func (s *Requests) Proposed(ctx context.Context, command id.EventID) (req Request, seen bool, err error) {
	todo, err := s.Store.CardsTodo(ctx, invites.CardTodo{Command: command, Limit: proposals})
	if err != nil {
		return Request{}, false, err
	}
	for _, c := range todo {
		if c.Kind != invites.CardConfirm {
			continue
		}
		if seen = c.Event != "" || c.State != invites.CardOpen; !seen {
			c, err = s.Store.CardOf(ctx, c.Command, c.Action, c.Room, c.Target)
		}
		return s.confirmed(c), seen, err
	}
	begun, err := s.Begun(ctx, command)
	return Request{}, begun, err
}

// Confirmed implements cards.Confirmed.
func (s *Requests) Confirmed(ctx context.Context, c invites.Card) (invites.Change, error) {
	req := s.confirmed(c)
	req.counted = true // by the proposal
	if req.Origin == invites.OriginBulk {
		return invites.Change{}, Bulk{s}.begin(ctx, req)
	}
	_, err := s.Ask(ctx, req)
	return invites.Change{}, err
}

// confirmed is the request on a card. A withdrawal on which people voted is the request of the voter who decided.
func (s *Requests) confirmed(c invites.Card) Request {
	if c.Kind == invites.CardWithdraw {
		return Request{Origin: invites.OriginCard, Command: c.Command, CommandRoom: c.Home, Actor: c.ClosedBy, Action: c.Action, Room: c.Room, Targets: c.Targets}
	}
	req := Request{
		Command: c.Command, CommandRoom: c.Home, Actor: c.Actor, Action: c.Action, Room: c.Room, Targets: c.Targets, Reason: c.Reason,
		AsBot: c.Performer == s.Self.Bot,
	}
	if c.Action == room.Invite {
		req.Origin = invites.OriginBulk
	}
	return req
}
