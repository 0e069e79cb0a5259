package bot

import (
	"context"

	"usher/commands"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/cards"
	"usher/invites/delivery"
	"usher/invites/guard"
	"usher/invites/inbound"
	"usher/invites/judge"
	"usher/invites/ledger"
	"usher/invites/letters"
	"usher/invites/links"
	"usher/invites/moves"
	"usher/invites/requests"
	"usher/invites/sessions"
	"usher/invites/spaces"
	"usher/invites/welcome"
)

// domain is the use cases, put together.
type domain struct {
	judge    *judge.Judge
	delivery *delivery.Delivery
	cards    *cards.Cards
	knocks   *cards.Knocks
	guard    *guard.Guard
	ledger   *ledger.Ledger
	links    *links.Links
	sessions *sessions.Sessions
	letters  *letters.Letters
	requests *requests.Requests
	inbound  *inbound.Inbound // nil: off
	editor   *requests.Editor
	moves    *moves.Upgrader
	movers   *moves.Movers
	welcomes *welcome.Welcomes
	spaces   *spaces.Spaces
}

// newDomain puts the use cases together, except for the guard's Tell, the requests' AtOnce, the limits and the address of links, and the letters.
func newDomain(db loggedStore, hs *homeserver.State, queue invites.Queue, self invites.Identity, limits delivery.Limits, most *requests.Limits) *domain {
	j := judge.New(db, hs, clock{}, self)
	d := &delivery.Delivery{Store: db, Homeserver: hs, Queue: queue, Clock: clock{}, Self: self, Limits: limits, Judge: j}
	c := &cards.Cards{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j, Delivery: d, Limits: most}
	g := &guard.Guard{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j, Delivery: d}
	l := &ledger.Ledger{Store: db, Judge: j, Expiries: &ledger.Expiries{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j}}
	l.Reviews = &ledger.Reviews{Expiries: l.Expiries, Store: db, Members: hs}
	l.Addresses = &ledger.Addresses{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j}
	k := &links.Links{Store: db, Usage: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j}
	n := &cards.Knocks{Cards: c, Store: db}
	d.Approvals = c
	d.Checks = map[invites.Origin]delivery.Check{invites.OriginGuard: g, invites.OriginExpiry: l.Expiries, invites.OriginTurned: l.Reviews, invites.OriginLink: k, invites.OriginKnock: n, invites.OriginInbound: inbound.Off{}}
	r := &requests.Requests{Store: db, Homeserver: hs, Queue: queue, Clock: clock{}, Self: self, Judge: j, Delivery: d, Cards: c, Links: k, Limits: most}
	e := &requests.Editor{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j}
	m := &moves.Moves{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j, Cards: c, Delivery: d, Requests: r, Editor: e}
	c.Confirmed = confirmed{r, &moves.Upgrader{Moves: m, Asked: db}}
	return &domain{
		judge: j, delivery: d, cards: c, knocks: n, guard: g, ledger: l, links: k, requests: r,
		editor: e, moves: &moves.Upgrader{Moves: m, Asked: db},
		spaces:   &spaces.Spaces{Store: db, Homeserver: hs, Clock: clock{}, Self: self, Judge: j, Requests: r},
		movers:   &moves.Movers{Store: db, Rooms: hs, Clock: clock{}, Self: self, Judge: j, Requests: requests.Bulk{Requests: r}},
		welcomes: &welcome.Welcomes{Store: db, Links: k, Judge: j, Clock: clock{}, Self: self},
		sessions: &sessions.Sessions{Store: db, Clock: clock{}},
	}
}

// confirmed implements cards.Confirmed.
type confirmed struct {
	requests *requests.Requests
	moves    *moves.Upgrader
}

// Confirmed implements cards.Confirmed.
func (c confirmed) Confirmed(ctx context.Context, card invites.Card) (invites.Change, error) {
	switch {
	case card.Kind == invites.CardMove:
		return c.moves.Confirmed(ctx, card)
	case card.Action == moves.ActionUpgrade:
		return c.moves.Perform(ctx, card)
	}
	return c.requests.Confirmed(ctx, card)
}

// useCases are the parts for commands.
func (d *domain) useCases(choices commands.Choices) commands.UseCases {
	return commands.UseCases{
		Requests: d.requests, Policies: d.editor, Ledger: d.ledger, Cards: d.cards, Links: d.links, Sessions: d.sessions, Letters: d.letters, Judge: d.judge, Clock: clock{}, Inbound: d.inbound, Choices: choices,
		Moves: d.moves, Movers: d.movers, Spaces: d.spaces,
	}
}
