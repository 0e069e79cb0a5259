package links

import (
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store with the links. A missing link is ErrNotFound.
type Store interface {
	// CreateLink adds a link with its first secret, and returns it as stored.
	CreateLink(ctx context.Context, l invites.Link, s invites.LinkSecret) (invites.Link, error)
	// AddLinkSecret gives a link one more secret.
	AddLinkSecret(ctx context.Context, link int64, s invites.LinkSecret) error
	// LinkSecrets counts the secrets of a link.
	LinkSecrets(ctx context.Context, link int64) (int, error)
	// Link returns a link.
	Link(ctx context.Context, link int64) (invites.Link, error)
	// LinksOf returns links which have not ended, the newest first.
	LinksOf(ctx context.Context, q invites.LinkQuery) ([]invites.Link, error)
	// EndLink revokes a link.
	EndLink(ctx context.Context, link int64, by id.UserID, at time.Time) error
	// DropLinkRoom takes a room from a link. A link without a room is revoked.
	DropLinkRoom(ctx context.Context, link int64, r id.RoomID, by id.UserID, at time.Time) error
	// LinkUses returns the uses of a link, the newest first.
	LinkUses(ctx context.Context, link int64, limit int) ([]invites.LinkUse, error)
}

// Homeserver shows state, as judge.Homeserver does.
type Homeserver interface {
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	MemberCount(ctx context.Context, r id.RoomID, viewer id.UserID, enough int64) (int64, error)
}

// Limits are the operator's limits on links.
type Limits struct {
	MaxUses int64         // of one link
	MaxAge  time.Duration // of a link
	Open    int           // of one maker
}

// Links keeps the links. All fields but Address are required.
type Links struct {
	Store      Store
	Usage      UseStore
	Homeserver Homeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
	Limits     Limits
	Address    string // address of the pages, without a slash at the end; empty: no links are offered
}

// Bounds of links.
const (
	maxRooms   = 10
	maxSecrets = 20
	maxListed  = 30
)

// What a link has if its maker does not say.
const (
	DefaultUses = 20
	DefaultFor  = 7 * 24 * time.Hour
)

// Refusal says why somebody can't have a link.
type Refusal = invites.Refusal

// CodeLinksOff means: the operator has not set up pages.
const CodeLinksOff = "link.no_address"

// Wish is the link that somebody wants.
type Wish struct {
	Maker   id.UserID
	Rooms   []id.RoomID
	Uses    int64         // 0: DefaultUses, or fewer where somebody sets a limit
	For     time.Duration // 0: DefaultFor, or less
	Approve bool
	Shows   []string
	Welcome string
	Note    string
}

// Create makes a link, if its maker may invite now, and returns it with its secret.
func (s *Links) Create(ctx context.Context, w Wish) (invites.Link, Secret, error) {
	open, err := s.Store.LinksOf(ctx, invites.LinkQuery{Maker: w.Maker, Now: s.Clock.Now(), Limit: s.Limits.Open})
	if err != nil {
		return invites.Link{}, "", err
	}
	if len(open) >= s.Limits.Open && s.Address != "" {
		return invites.Link{}, "", Refusal{Code: "link.open", Phrase: room.Say("link.open", "most", s.Limits.Open)}
	}
	l, err := s.planned(ctx, w, aboutTarget)
	if err != nil {
		return invites.Link{}, "", err
	}
	secret := newSecret()
	l, err = s.Store.CreateLink(ctx, l, secret.stored())
	return l, secret, err
}

// planned returns the link of a wish, not yet stored, if its maker may invite now. passes tells which reasons against an invitation do not matter.
func (s *Links) planned(ctx context.Context, w Wish, passes func(room.Rule) bool) (invites.Link, error) {
	if s.Address == "" {
		return invites.Link{}, Refusal{Code: CodeLinksOff, Phrase: room.Say("link.no_address")}
	}
	if len(w.Rooms) > maxRooms {
		return invites.Link{}, Refusal{Code: "link.rooms", Phrase: room.Say("link.rooms", "most", maxRooms)}
	}
	limits := []limit{{s.Limits.MaxUses, s.Limits.MaxAge}}
	for _, r := range w.Rooms {
		rule, err := s.mayMake(ctx, w.Maker, r, passes)
		if err != nil {
			return invites.Link{}, err
		}
		limits = append(limits, limit{rule.MaxUses, rule.MaxAge})
	}
	if err := w.within(limits); err != nil {
		return invites.Link{}, err
	}
	now := s.Clock.Now()
	return invites.Link{
		Maker: w.Maker, Rooms: w.Rooms, MaxUses: w.Uses, Approve: w.Approve, Shows: w.Shows, Welcome: w.Welcome, Note: w.Note,
		CreatedAt: now, ExpiresAt: now.Add(w.For),
	}, nil
}

// limit is one limit on links; 0: none.
type limit struct {
	uses int64
	age  time.Duration
}

// within refuses a wish beyond a limit. What the wish leaves open, it sets.
func (w *Wish) within(limits []limit) error {
	uses, age := int64(DefaultUses), DefaultFor
	for _, l := range limits {
		if l.uses > 0 && w.Uses > l.uses {
			return Refusal{Code: string(policy.CodeLinksUses), Phrase: room.Say("link.uses", "most", l.uses)}
		}
		if l.age > 0 && w.For > l.age {
			return Refusal{Code: string(policy.CodeLinksAge), Phrase: room.Say("link.age", "most", policy.Span(l.age))}
		}
		if l.uses > 0 {
			uses = min(uses, l.uses)
		}
		if l.age > 0 {
			age = min(age, l.age)
		}
	}
	if w.Uses == 0 {
		w.Uses = uses
	}
	if w.For == 0 {
		w.For = age
	}
	return nil
}

// mayMake refuses users who could not use a new link to a room themselves, and returns the room's rules for links.
func (s *Links) mayMake(ctx context.Context, maker id.UserID, r id.RoomID, passes func(room.Rule) bool) (rule policy.Links, err error) {
	j, err := s.standing(ctx, maker, r, policy.LinkUse{})
	if err != nil {
		return rule, err
	}
	if d := j.Decision; d.Verdict != room.Allow && !passes(d.Code) {
		return rule, Refusal{Code: string(d.Code), Phrase: j.Explain().Phrase()}
	}
	p, err := s.Judge.Policies.Of(ctx, r, maker)
	if err == nil && p == nil {
		err = invites.ErrKept
	}
	if err != nil {
		return rule, err
	}
	return p.Document.Links, nil
}

// List returns the asker's own links, or all links into a room for an asker with the power to kick there.
func (s *Links) List(ctx context.Context, asker id.UserID, r id.RoomID) ([]invites.Link, error) {
	q := invites.LinkQuery{Room: r, Now: s.Clock.Now(), Limit: maxListed}
	err := judge.ErrKickPower
	if r != "" {
		err = s.Judge.Reach.MayKick(ctx, r, asker)
	}
	if errors.Is(err, judge.ErrKickPower) {
		q.Maker = asker
	} else if err != nil {
		return nil, err
	}
	return s.Store.LinksOf(ctx, q)
}

// Find returns a link for its maker, or for somebody with the power to kick in one of its rooms: those rooms are returned as well. For
// others there is no such link.
func (s *Links) Find(ctx context.Context, asker id.UserID, link int64) (l invites.Link, moderates []id.RoomID, err error) {
	if l, err = s.Store.Link(ctx, link); err != nil {
		return l, nil, err
	}
	for _, r := range l.Rooms {
		switch err := s.Judge.Reach.MayKick(ctx, r, asker); {
		case err == nil:
			moderates = append(moderates, r)
		case !errors.Is(err, judge.ErrKickPower):
			return l, nil, err
		}
	}
	if l.Maker != asker && len(moderates) == 0 {
		return invites.Link{}, nil, invites.ErrNotFound
	}
	return l, moderates, nil
}

// Uses returns the newest uses of a link for an asker of Find.
func (s *Links) Uses(ctx context.Context, asker id.UserID, link int64, limit int) ([]invites.LinkUse, error) {
	if _, _, err := s.Find(ctx, asker, link); err != nil {
		return nil, err
	}
	return s.Store.LinkUses(ctx, link, limit)
}

// Revoke ends a link. Somebody who is not its maker ends it for the rooms where they have the power to kick; whole tells whether no room is
// left.
func (s *Links) Revoke(ctx context.Context, asker id.UserID, link int64) (whole bool, err error) {
	l, moderates, err := s.Find(ctx, asker, link)
	if err != nil {
		return false, err
	}
	now := s.Clock.Now()
	if l.Maker == asker {
		return true, invites.UnlessNone(s.Store.EndLink(ctx, link, asker, now))
	}
	for _, r := range moderates {
		if err := s.Store.DropLinkRoom(ctx, link, r, asker, now); err != nil {
			return false, err
		}
	}
	return len(moderates) == len(l.Rooms), nil
}

// NewSecret gives the maker of a link one more secret. The others stay.
func (s *Links) NewSecret(ctx context.Context, asker id.UserID, link int64) (invites.Link, Secret, error) {
	l, err := s.Store.Link(ctx, link)
	if err == nil && l.Maker != asker {
		err = invites.ErrNotFound
	}
	if err != nil {
		return l, "", err
	}
	if s.Address == "" {
		return l, "", Refusal{Code: CodeLinksOff, Phrase: room.Say("link.no_address")}
	}
	switch n, err := s.Store.LinkSecrets(ctx, link); {
	case err != nil:
		return l, "", err
	case n >= maxSecrets:
		return l, "", Refusal{Code: "link.secrets", Phrase: room.Say("link.secrets", "most", maxSecrets)}
	}
	secret := newSecret()
	return l, secret, s.Store.AddLinkSecret(ctx, link, secret.stored())
}

// Page is the address of the page of a secret.
func (s *Links) Page(secret Secret) string { return s.Address + "/i/" + string(secret) }

// opens reports whether a link opens a room.
func opens(l invites.Link, r id.RoomID) bool { return slices.Contains(l.Rooms, r) }
