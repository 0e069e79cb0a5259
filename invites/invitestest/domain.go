package invitestest

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/delivery"
	"usher/invites/guard"
	"usher/invites/judge"
	"usher/invites/ledger"
	"usher/invites/links"
	"usher/invites/moves"
	"usher/invites/requests"
	"usher/invites/sessions"
	"usher/invites/spaces"
	"usher/invites/welcome"
	"usher/room"
)

// Domain is the use cases of all packages below invites, put together as in the running bot.
type Domain struct {
	*requests.Requests
	Editor   *requests.Editor
	Judge    *judge.Judge
	Delivery *delivery.Delivery
	Cards    *cards.Cards
	Knocks   *cards.Knocks
	Guard    *guard.Guard // without its Tell
	Ledger   *ledger.Ledger
	Links    *links.Links
	Sessions *sessions.Sessions
	Moves    *moves.Moves
	Movers   *moves.Movers
	Welcomes *welcome.Welcomes
	Spaces   *spaces.Spaces
}

// FullHomeserver is the homeserver for all use cases.
type FullHomeserver interface {
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	Act(ctx context.Context, e invites.Effect) error
	Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error)
	Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error)
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
	StateEvent(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (invites.StateEvent, error)
	CurrentEvent(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key) (invites.StateEvent, error)
	History(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key, limit int) ([]invites.StateEvent, error)
	MemberCount(ctx context.Context, r id.RoomID, viewer id.UserID, enough int64) (int64, error)
	Collect(ctx context.Context, r id.RoomID, types []string, have bool) (changes []invites.StateChange, whole bool, err error)
	Spaces(r id.RoomID) []id.RoomID
}

// Memory is what each FullHomeserver is besides.
type Memory interface {
	Governs(child, space id.RoomID) bool
	SetGoverns(child, space id.RoomID, governs bool)
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
}

// Surroundings are what a Domain works in.
type Surroundings struct {
	Homeserver FullHomeserver
	Queue      invites.Queue
	Clock      invites.Clock
	Self       invites.Identity
	AtOnce     int
	Most       requests.Most
	Lease      time.Duration
	GiveUp     time.Duration
}

// New puts a Domain together over a store and a world.
func New[Store interface {
	judge.Store
	delivery.Store
	cards.Store
	cards.KnockStore
	guard.Store
	ledger.Store
	ledger.ReviewStore
	ledger.AddressStore
	links.Store
	links.UseStore
	requests.Store
	requests.EditorStore
	sessions.Store
	moves.Store
	moves.MoverStore
	welcome.Store
	spaces.Store
}](db Store, w Surroundings) *Domain {
	hs := struct {
		FullHomeserver
		Memory
	}{w.Homeserver, w.Homeserver.(Memory)}
	j := judge.New(db, hs, w.Clock, w.Self)
	d := &delivery.Delivery{Store: db, Homeserver: hs, Queue: w.Queue, Clock: w.Clock, Self: w.Self, Judge: j,
		Limits: delivery.Limits{Lease: w.Lease, GiveUpAfter: w.GiveUp}}
	most := requests.NewLimits(w.Most, w.Self, w.Clock, nil)
	c := &cards.Cards{Store: db, Homeserver: hs, Clock: w.Clock, Self: w.Self, Judge: j, Delivery: d, Limits: most}
	g := &guard.Guard{Store: db, Homeserver: hs, Clock: w.Clock, Self: w.Self, Judge: j, Delivery: d}
	l := &ledger.Ledger{Store: db, Judge: j, Expiries: &ledger.Expiries{Store: db, Homeserver: hs, Clock: w.Clock, Self: w.Self, Judge: j}}
	l.Reviews = &ledger.Reviews{Expiries: l.Expiries, Store: db, Members: hs}
	l.Addresses = &ledger.Addresses{Store: db, Homeserver: hs, Clock: w.Clock, Self: w.Self, Judge: j}
	k := &links.Links{Store: db, Usage: db, Homeserver: hs, Clock: w.Clock, Self: w.Self, Judge: j, Address: "https://usher.example",
		Limits: links.Limits{MaxUses: 1000, MaxAge: 90 * 24 * time.Hour, Open: 20}}
	n := &cards.Knocks{Cards: c, Store: db}
	d.Approvals = c
	d.Checks = map[invites.Origin]delivery.Check{invites.OriginGuard: g, invites.OriginExpiry: l.Expiries, invites.OriginTurned: l.Reviews, invites.OriginLink: k, invites.OriginKnock: n}
	r := &requests.Requests{Store: db, Homeserver: hs, Queue: w.Queue, Clock: w.Clock, Self: w.Self, Judge: j, Delivery: d, Cards: c, Links: k, AtOnce: w.AtOnce, Limits: most}
	c.Confirmed = r
	e := &requests.Editor{Store: db, Homeserver: hs, Clock: w.Clock, Self: w.Self, Judge: j}
	model, _ := w.Homeserver.(*Homeserver)
	m := &moves.Moves{Store: db, Clock: w.Clock, Self: w.Self, Judge: j, Cards: c, Delivery: d, Requests: r, Editor: e, May: func(id.UserID) bool { return true }}
	m.Homeserver = struct {
		FullHomeserver
		Memory
		moves.Directory
	}{w.Homeserver, hs.Memory, Directory{model}}
	return &Domain{
		Requests: r, Editor: e, Judge: j, Delivery: d, Cards: c, Knocks: n, Guard: g, Ledger: l, Links: k, Moves: m,
		Spaces: &spaces.Spaces{Store: db, Homeserver: treeOf{hs, Tree{model}}, Clock: w.Clock, Self: w.Self, Judge: j, Requests: r},
		Movers: &moves.Movers{Store: db, Rooms: struct {
			FullHomeserver
			Memory
			Talk
		}{w.Homeserver, hs, Talk{Model: model}}, Clock: w.Clock, Self: w.Self, Judge: j, Requests: requests.Bulk{Requests: r}},
		Welcomes: &welcome.Welcomes{Store: db, Links: k, Judge: j, Clock: w.Clock, Self: w.Self},
		Sessions: &sessions.Sessions{Store: db, Clock: w.Clock, Address: "https://usher.example"},
	}
}
