package cards

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// KnockStore is the part of the store with the knocks.
type KnockStore interface {
	// OpenCard and CardOf are as in Store.
	OpenCard(ctx context.Context, c invites.Card) (invites.Card, error)
	CardOf(ctx context.Context, command id.EventID, action room.ActionType, r id.RoomID, target id.UserID) (invites.Card, error)
	// CountCards counts open cards.
	CountCards(ctx context.Context, q invites.CardQuery) (int, error)
	// Knocked returns the knock cards of a room made after since, open or not, the newest first.
	Knocked(ctx context.Context, r id.RoomID, since time.Time, limit int) ([]invites.Card, error)
}

// Knocks receives knocking users, as the room's policy says.
type Knocks struct {
	Cards *Cards
	Store KnockStore
}

// Knock is a user's wish to be let in (https://spec.matrix.org/latest/client-server-api/#knocking-on-rooms).
type Knock struct {
	Event  id.EventID // the member event
	Room   id.RoomID
	User   id.UserID
	Reason string
}

// Crowd is a desk that shows no more cards for now.
type Crowd struct {
	Room id.RoomID // where its cards are
	Open int       // cards
}

// Bounds of a desk: open cards, new ones in an hour, and those of them for users of one server.
func (Crowd) Bounds() (open, hour, server int) { return knocksOpen, knocksHour, knocksServer }

// Reception is the result of a knock.
type Reception struct {
	Card   *invites.Card // nil: the room's policy has no knock desk, or the user does not knock any more
	Paused bool          // this very knock has paused letting in at once
	Full   *Crowd        // the desk shows no card for this knock; mostly nil
}

// Receive turns a knock into a card, or accepts it at once, as the room's policy says. Called again after a crash, it goes on where it
// was.
func (s *Knocks) Receive(ctx context.Context, k Knock) (Reception, error) {
	p, err := rules(ctx, s.Cards, k.Room, s.Cards.Self.Bot)
	if err != nil || p == nil || p.Fault() != nil || !p.Document.Knocks.Desk {
		return Reception{}, err
	}
	d := p.Document.Knocks
	old, err := s.Store.CardOf(ctx, k.Event, room.Knock, k.Room, k.User)
	if err == nil && (old.State != invites.CardOpen || old.Event != "") {
		return Reception{Card: &old}, nil
	}
	if err != nil && !errors.Is(err, invites.ErrNotFound) {
		return Reception{}, err
	}
	if knocks, err := s.knocks(ctx, k.Room, k.User); err != nil || !knocks {
		return Reception{}, err
	}
	now := s.Cards.Clock.Now()
	recent, err := s.Store.Knocked(ctx, k.Room, now.Add(-time.Hour), knocksSeen)
	if err != nil || knockedOften(k, recent) {
		return Reception{}, err
	}
	card := invites.Card{
		Kind: invites.CardKnock, ExpiresAt: now.Add(knocksWait), Room: k.Room, ShownIn: cmp.Or(d.Room, k.Room), Command: k.Event, Home: k.Room, Action: room.Knock, Actor: k.User, Target: k.User,
		Reason: room.Shorten(k.Reason, maxReason), Policy: p.Event(), Votes: 1, Level: d.Level, CreatedAt: now, State: invites.CardOpen,
	}
	if card.ShownIn != k.Room {
		if card.ShownIn, err = s.Cards.Judge.Reach.Current(ctx, card.ShownIn); err != nil {
			return Reception{}, err
		}
	}
	if within, err := s.Cards.Judge.Reach.Reaches(ctx, k.Room, card.ShownIn, p, "knocks.room", true); err != nil {
		return Reception{}, err
	} else if !within {
		card.ShownIn = k.Room
	}
	paused, first, err := s.breaker(ctx, k, d.Breaker, now)
	if err != nil {
		return Reception{}, err
	}
	if paused {
		card.Code = invites.CodeBreaker
	}
	got, err := s.admit(ctx, k, p, card, recent, old.ID != 0)
	got.Paused = got.Paused && first
	return got, err
}

// admit makes the card of a knock, closed at once where the policy and the operator's limits let the user in. known: there is a card already.
func (s *Knocks) admit(ctx context.Context, k Knock, p *policy.InForce, card invites.Card, recent []invites.Card, known bool) (Reception, error) {
	welcome, remark, err := s.welcome(ctx, k, p)
	if err != nil {
		return Reception{}, err
	}
	paused, giveBack := card.Code == invites.CodeBreaker, func() {}
	if welcome && !paused {
		var no *policy.Decision
		if no, giveBack = s.Cards.Limits.Spend(s.Cards.Self.Bot, k.User); no != nil {
			welcome, remark = false, policy.Explain(policy.Question{Action: room.Invite, Target: k.User}, *no).Phrase()
		}
	}
	if !welcome || paused {
		if crowd, err := s.crowded(ctx, k, recent, known, card.ShownIn); err != nil || crowd != nil {
			return Reception{Full: crowd}, err
		}
	}
	card.Remark = remark
	card, err = s.open(ctx, card, welcome && !paused)
	if err != nil || card.State != invites.CardAccepted {
		giveBack()
	}
	if err != nil {
		return Reception{}, err
	}
	return Reception{Card: &card, Paused: welcome && paused}, nil
}

// open makes the card of a knock, and closes it at once where the policy lets the user in.
func (s *Knocks) open(ctx context.Context, card invites.Card, accept bool) (invites.Card, error) {
	card, err := s.Store.OpenCard(ctx, card)
	if err != nil || !accept || card.State != invites.CardOpen {
		return card, err
	}
	return s.Cards.close(ctx, card, invites.Closing{State: invites.CardAccepted, By: s.Cards.Self.Bot})
}

// Bounds of knocks: how many of one user become cards within an hour, of the users of one server, and of all; among how many of the room's
// last ones these are counted; and how many of a room's may be open. Knocks that the policy accepts itself count for their user only.
const (
	knocksEach   = 3
	knocksServer = 20
	knocksHour   = 60
	knocksSeen   = 500
	knocksOpen   = 200
)

// Bounds of one knock: how much of its reason a card keeps, in bytes, and how long its card waits for a decision.
const (
	maxReason  = 500
	knocksWait = 7 * 24 * time.Hour
)

// knockedOften tells whether a user has knocked, and gone, too often of late to ask people again.
func knockedOften(k Knock, recent []invites.Card) bool {
	theirs := 0
	for _, c := range recent {
		if c.Actor == k.User && c.Command != k.Event {
			theirs++
		}
	}
	return theirs >= knocksEach
}

// tooFast tells whether people have been asked about so many knocks of late, of the user's server or of all, that they are not asked about
// one more.
func (s *Knocks) tooFast(k Knock, recent []invites.Card) bool {
	all, server := 0, 0
	for _, c := range recent {
		if c.Command == k.Event || c.ClosedBy == s.Cards.Self.Bot {
			continue
		}
		all++
		if policy.ServerName(c.Actor) == policy.ServerName(k.User) {
			server++
		}
	}
	return all >= knocksHour || server >= knocksServer
}

// crowded returns the crowd at a room where people are asked about too many knocks to see one more, else nil. A knock whose card is open
// already does not count. shown is where the cards are.
func (s *Knocks) crowded(ctx context.Context, k Knock, recent []invites.Card, open bool, shown id.RoomID) (*Crowd, error) {
	n, err := s.Store.CountCards(ctx, invites.CardQuery{Kind: invites.CardKnock, Room: k.Room})
	if open {
		n--
	}
	if err != nil || n < knocksOpen && (open || !s.tooFast(k, recent)) {
		return nil, err
	}
	return &Crowd{shown, n}, nil
}

// knocks tells whether a user knocks at a room.
func (s *Knocks) knocks(ctx context.Context, r id.RoomID, user id.UserID) (bool, error) {
	snap, err := s.Cards.Homeserver.Snapshot(ctx, r, s.Cards.Self.Bot, []room.Key{room.MemberKey(user)}, false)
	if errors.Is(err, invites.ErrNoView) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	membership, known := snap.Membership(user)
	if !known {
		return false, invites.ErrKept
	}
	return membership == "knock", nil
}

// maxBreaker is the most knocks let through by a breaker: so many are read for each.
const maxBreaker = 1000

// breaker tells whether letting in at once is paused for a knock, and whether the knock is the first one.
func (s *Knocks) breaker(ctx context.Context, k Knock, rate policy.Rate, now time.Time) (paused, first bool, err error) {
	if rate.Count <= 0 {
		return false, false, nil
	}
	rate.Count = min(rate.Count, maxBreaker)
	recent, err := s.Store.Knocked(ctx, k.Room, now.Add(-rate.Per), int(rate.Count)+1)
	if err != nil {
		return false, false, err
	}
	paused, first = breaks(rate, k.Event, recent)
	return paused, first, nil
}

// breaks tells, of a knock and the knocks within the window before it, the newest first, whether letting in at once is paused, and whether
// it was not for the knock before.
func breaks(rate policy.Rate, knock id.EventID, recent []invites.Card) (paused, first bool) {
	var before []invites.Card
	for _, c := range recent {
		if c.Command != knock {
			before = append(before, c)
		}
	}
	paused = rate.Count > 0 && int64(len(before)) >= rate.Count
	return paused, paused && before[0].Code != invites.CodeBreaker
}

// Admits reports whether the policy of a room lets a user in at once, as a knock of theirs would be. The rate is the room's breaker, for the
// admissions without a knock.
func (s *Knocks) Admits(ctx context.Context, r id.RoomID, user id.UserID) (admits bool, breaker policy.Rate, err error) {
	p, err := rules(ctx, s.Cards, r, s.Cards.Self.Bot)
	if err != nil || p == nil || p.Fault() != nil {
		return false, breaker, err
	}
	breaker = p.Document.Knocks.Breaker
	k := Knock{Room: r, User: user}
	if paused, _, err := s.breaker(ctx, k, breaker, s.Cards.Clock.Now()); err != nil || paused {
		return false, breaker, err
	}
	admits, _, err = s.welcome(ctx, k, p)
	return admits, breaker, err
}

// Wanted implements delivery.Check for knocks that the policy accepted itself: between the knock and the invitation, the policy, or the
// memberships that it looks at, may have changed.
func (s *Knocks) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	p, err := rules(ctx, s.Cards, row.Room, s.Cards.Self.Bot)
	if err != nil {
		return "", detail, err
	}
	if p != nil && p.Fault() == nil {
		welcome, remark, err := s.welcome(ctx, Knock{Room: row.Room, User: row.Target}, p)
		if err != nil || welcome {
			return "", detail, err
		}
		detail = remark
	}
	if detail.Empty() {
		detail = room.Say("detail.over")
	}
	return string(policy.CodeNoAdmission), detail, nil
}

// welcome tells whether a policy lets a user in at once. The rest of the policy about invited users comes first; the remark tells the reasons
// against the user.
func (s *Knocks) welcome(ctx context.Context, k Knock, p *policy.InForce) (welcome bool, remark room.Phrase, err error) {
	q := policy.Question{Action: room.Invite, Actor: s.Cards.Self.Bot, Performer: s.Cards.Self.Bot, Target: k.User}
	j, err := s.Cards.Judge.Decide(ctx, k.Room, q, policy.Facts{Paid: true, Itself: true}, nil)
	if err != nil {
		return false, remark, err
	}
	d := j.Decision
	if d.Verdict != room.Allow && d.Code != policy.CodeApproval {
		d.Side = policy.SidePerformer
		return false, policy.Explain(q, d).Phrase(), nil
	}
	snap, err := s.Cards.Judge.Policies.Look(ctx, k.Room, p, k.User)
	if err != nil || snap == nil {
		return false, remark, err
	}
	invite := room.Action{Type: room.Invite, Sender: s.Cards.Self.Bot, Target: k.User}
	may := func(path string) bool { return p.Entitled(snap, path, invite).Verdict == room.Allow }
	listed := slices.ContainsFunc(p.Document.Knocks.Welcomes(k.User), may)
	if !may("knocks.accept_members_of") {
		return listed, remark, nil
	}
	for _, other := range p.Document.Knocks.AcceptMembersOf {
		other, err := s.Cards.Judge.Reach.Current(ctx, other)
		if err != nil {
			return false, remark, err
		}
		if within, err := s.Cards.Judge.Reach.Reaches(ctx, k.Room, other, p, "knocks.accept_members_of", false); err != nil {
			return false, remark, err
		} else if listed || !within {
			continue
		}
		key := room.MemberKey(k.User)
		snap, err := s.Cards.Homeserver.Snapshot(ctx, other, s.Cards.Self.Bot, []room.Key{key}, false)
		if err != nil && !errors.Is(err, invites.ErrNoView) {
			return false, remark, err
		}
		if err == nil {
			membership, known := snap.Membership(k.User)
			listed = known && membership == "join"
		}
	}
	return listed, remark, nil
}

// admission is the row made by a closed knock card: the deciding voter is the actor, and the performer where Usher may act for
// them. Where the policy itself decides, it is the bot.
func (s *Cards) admission(c invites.Card, end invites.Closing) *invites.Change {
	action := room.Invite
	reason := ""
	switch end.State {
	case invites.CardAccepted:
	case invites.CardDeclined:
		action, reason = room.Kick, end.Answer
	case invites.CardBanned:
		action, reason = room.Ban, end.Answer
	default:
		return nil
	}
	origin := invites.OriginCard
	if end.By == s.Self.Bot {
		origin = invites.OriginKnock // the policy accepts it itself
	}
	return &invites.Change{
		Origin: origin, Request: string(c.Command), Command: c.Command, CommandRoom: c.Home, Action: action, Room: c.Room, Target: c.Target, Actor: end.By,
		Performer: s.Self.Performer(action, end.By, c.Target, false), Reason: reason, Status: invites.StatusOpen, CreatedAt: end.At, DueAt: end.At,
	}
}
