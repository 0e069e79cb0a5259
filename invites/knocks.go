package invites

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Knock is somebody's wish to be let in (https://spec.matrix.org/latest/client-server-api/#knocking-on-rooms).
type Knock struct {
	Event  id.EventID // the member event
	Room   id.RoomID
	User   id.UserID
	Reason string
}

// Reception is what became of a knock.
type Reception struct {
	Card   *Card // nil: the room's policy has no knock desk, or nobody knocks any more
	Paused bool  // letting in at once was paused by this very knock
}

// Knock receives a knock: by the room's policy it becomes a card, or is accepted at once. Again after a crash, it takes up
// where it was.
func (s *Service) Knock(ctx context.Context, k Knock) (Reception, error) {
	p, err := s.rules(ctx, k.Room, s.Self.Bot)
	if err != nil || p == nil || p.Fault() != nil || !p.Document.Knocks.Desk {
		return Reception{}, err
	}
	d := p.Document.Knocks
	old, err := s.Store.CardOf(ctx, k.Event, room.Knock, k.Room, k.User)
	if err == nil && (old.State != CardOpen || old.Event != "") {
		return Reception{Card: &old}, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Reception{}, err
	}
	if knocks, err := s.knocks(ctx, k.Room, k.User); err != nil || !knocks {
		return Reception{}, err
	}
	now := s.Clock.Now()
	if many, err := s.knockedOften(ctx, k, now); err != nil || many {
		return Reception{}, err
	}
	card := Card{
		Kind: CardKnock, Room: k.Room, ShownIn: cmp.Or(d.Room, k.Room), Command: k.Event, Home: k.Room, Action: room.Knock, Actor: k.User, Target: k.User,
		Reason: k.Reason, Policy: p.Event(), Votes: 1, Level: d.Level, CreatedAt: now, State: CardOpen,
	}
	if within, err := s.reaches(ctx, k.Room, card.ShownIn, true); err != nil {
		return Reception{}, err
	} else if !within {
		card.ShownIn = k.Room
	}
	paused, first, err := s.breaker(ctx, k, d.Breaker, now)
	if err != nil {
		return Reception{}, err
	}
	if paused {
		card.Code = CodeBreaker
	}
	welcome, remark, err := s.welcome(ctx, k, p)
	if err != nil {
		return Reception{}, err
	}
	if !welcome || paused {
		if crowded, err := s.crowded(ctx, k); err != nil || crowded {
			return Reception{}, err
		}
	}
	card.Remark = remark
	if card, err = s.Store.OpenCard(ctx, card); err != nil {
		return Reception{}, err
	}
	if welcome && !paused && card.State == CardOpen {
		card, err = s.close(ctx, card, Closing{State: CardAccepted, By: s.Self.Bot})
	}
	return Reception{Card: &card, Paused: first && welcome}, err
}

// How many knocks of one person become cards within an hour, among how many of the room's last ones theirs are looked for, and how many
// of a room's may be open.
const (
	knocksEach = 3
	knocksSeen = 500
	knocksOpen = 200
)

// knockedOften tells whether somebody has knocked, and gone, so often of late that people need not be asked about them again.
func (s *Service) knockedOften(ctx context.Context, k Knock, now time.Time) (bool, error) {
	recent, err := s.Store.Knocked(ctx, k.Room, now.Add(-time.Hour), knocksSeen)
	theirs := 0
	for _, c := range recent {
		if c.Actor == k.User && c.Command != k.Event {
			theirs++
		}
	}
	return theirs >= knocksEach, err
}

// crowded tells whether people are asked about so many at a room that they would not see one more.
func (s *Service) crowded(ctx context.Context, k Knock) (bool, error) {
	todo, err := s.Store.CardsTodo(ctx)
	open := 0
	for _, c := range todo {
		if c.Kind == CardKnock && c.State == CardOpen && c.Room == k.Room && c.Command != k.Event {
			open++
		}
	}
	return open >= knocksOpen, err
}

// knocks tells whether somebody knocks at a room.
func (s *Service) knocks(ctx context.Context, r id.RoomID, user id.UserID) (bool, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, []room.Key{{Type: "m.room.member", StateKey: string(user)}}, false)
	if errors.Is(err, ErrNoView) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	membership, _ := snap.Membership(user)
	return membership == "knock", nil
}

// maxBreaker is the most knocks that a breaker lets pass: so many are read for each.
const maxBreaker = 1000

// breaker tells whether letting in at once is paused for a knock, and whether it is the first that is.
func (s *Service) breaker(ctx context.Context, k Knock, rate policy.Rate, now time.Time) (paused, first bool, err error) {
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

// breaks tells, of a knock and those within the window before it, the newest first, whether letting in at once is paused, and
// whether it was not for the one before.
func breaks(rate policy.Rate, knock id.EventID, recent []Card) (paused, first bool) {
	var before []Card
	for _, c := range recent {
		if c.Command != knock {
			before = append(before, c)
		}
	}
	paused = rate.Count > 0 && int64(len(before)) >= rate.Count
	return paused, paused && before[0].Code != CodeBreaker
}

// welcome tells whether a policy lets somebody in at once. What else the policy says of people who are invited comes first; what
// is against them is the remark.
func (s *Service) welcome(ctx context.Context, k Knock, p *policy.InForce) (welcome bool, remark string, err error) {
	q := policy.Question{Action: room.Invite, Actor: s.Self.Bot, Performer: s.Self.Bot, Target: k.User}
	j, err := s.decide(ctx, k.Room, q, policy.Facts{Paid: true, Itself: true}, nil)
	if err != nil {
		return false, "", err
	}
	d := j.Decision
	if d.Verdict != room.Allow && d.Code != policy.CodeApproval {
		d.Side = policy.SidePerformer
		return false, policy.Explain(q, d).String(), nil
	}
	snap, err := s.look(ctx, k.Room, p, k.User)
	if err != nil || snap == nil {
		return false, "", err
	}
	invite := room.Action{Type: room.Invite, Sender: s.Self.Bot, Target: k.User}
	may := func(path string) bool { return p.Entitled(snap, path, invite).Verdict == room.Allow }
	listed := slices.ContainsFunc(p.Document.Knocks.Welcomes(k.User), may)
	if !may("knocks.accept_members_of") {
		return listed, "", nil
	}
	for _, other := range p.Document.Knocks.AcceptMembersOf {
		if within, err := s.reaches(ctx, k.Room, other, false); err != nil {
			return false, "", err
		} else if listed || !within {
			continue
		}
		key := room.MemberKey(k.User)
		snap, err := s.Homeserver.Snapshot(ctx, other, s.Self.Bot, []room.Key{key}, false)
		if err != nil && !errors.Is(err, ErrNoView) {
			return false, "", err
		}
		if err == nil {
			membership, known := snap.Membership(k.User)
			listed = known && membership == "join"
		}
	}
	return listed, "", nil
}

// admission is the row that a closed knock card leads to: whoever decided asks for it, and sends it where Usher may act for
// them. What a policy decides by itself is the bot's.
func (s *Service) admission(c Card, end Closing) *Change {
	action := room.Invite
	reason := ""
	switch end.State {
	case CardAccepted:
	case CardDeclined:
		action, reason = room.Kick, end.Answer
	case CardBanned:
		action, reason = room.Ban, end.Answer
	default:
		return nil
	}
	req := Request{Actor: end.By, Action: action}
	return &Change{
		Command: c.Command, CommandRoom: c.Home, Action: action, Room: c.Room, Target: c.Target, Actor: end.By,
		Performer: s.performer(req, c.Target), Reason: reason, Status: StatusOpen, CreatedAt: end.At, DueAt: end.At,
	}
}
