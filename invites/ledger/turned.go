package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// ReviewStore is the part of the store for reviews of open invitations.
type ReviewStore interface {
	ExpiryStore
	// Pending returns up to limit open invitations of a room, the oldest first, and how many there are.
	Pending(ctx context.Context, r id.RoomID, limit int) ([]invites.Invitation, int, error)
	// SetTurned notes a finding about invitations that was acted on or told.
	SetTurned(ctx context.Context, code string, entries ...int64) error
	// Told returns what a room was told last, and SetTold keeps it.
	Told(ctx context.Context, r id.RoomID) (string, error)
	SetTold(ctx context.Context, r id.RoomID, what string) error
	// OpenCard adds a card, unless its question has one already, and returns it as stored.
	OpenCard(ctx context.Context, c invites.Card) (invites.Card, error)
}

// Members lists the users with a membership in a room.
type Members interface {
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
}

// Reviews judges open invitations anew when the standing of an inviter or an invitee has turned. All exported fields are required.
type Reviews struct {
	*Expiries
	Store   ReviewStore
	Members Members

	mu     sync.Mutex
	recent map[id.RoomID][]time.Time // the invitations withdrawn lately
}

// Bounds of a review, and of the withdrawals in one room within brakeWindow: a list's keeper, or an admin who bans, must not empty a
// room's invitations by a slip.
const (
	maxReviewed = 1000
	brakeMost   = 20
	brakeFew    = 5 // never ask about so few, even if they are more than half
	brakeWindow = time.Hour
	askedFor    = 48 * time.Hour // how long a card stays open
)

// Done is what became of the invitations in a Turn.
type Done string

// The ways.
const (
	Withdrawing Done = "withdrawing" // Rows are to be delivered
	Asked       Done = "asked"       // by Card
	Left        Done = "left"        // the policy does not want them withdrawn, or may not; Why says which
)

// Turn is a finding about some open invitations of a room.
type Turn struct {
	Room        id.RoomID
	Code        room.Rule // policy.CodeTurnListed, CodeTurnDenied, CodeTurnBanned or CodeTurnLeft
	Inviter     id.UserID // of the two latter
	Invitations []invites.Invitation
	Done        Done
	Why         room.Rule // of Left; empty: the policy does not want it
	Rule        room.Rule // of Left: the rule against the withdrawal
	Rows        []int64
	Card        invites.Card
}

// note is what an invitation keeps of a turn: the code, or that the room was told and no more.
func (t Turn) note() string {
	if t.Done == Left {
		return "told " + string(t.Code)
	}
	return string(t.Code)
}

// Review is what a review of a room found.
type Review struct {
	Turns      []Turn
	Unreadable id.RoomID // a policy list that can't be read, of which the room was not told yet
}

// Review judges the open invitations of a room anew, records the withdrawals that the policy wants, and opens a card where they are many.
// Each finding is returned until Told has noted it.
func (s *Reviews) Review(ctx context.Context, r id.RoomID) (found Review, err error) {
	entries, total, err := s.Store.Pending(ctx, r, maxReviewed)
	if err != nil || len(entries) == 0 {
		return found, err
	}
	v, err := s.view(ctx, r, entries...)
	if err != nil || v == nil {
		return found, err
	}
	if found.Unreadable, err = s.unreadable(ctx, r, v); err != nil {
		return found, err
	}
	var withdrawn int
	for _, e := range entries {
		code, err := s.turned(ctx, v, e)
		if err != nil {
			return found, err
		}
		if code == "" || e.Turned == string(code) { // withdrawn or asked about
			continue
		}
		turn := Turn{Room: r, Code: code, Inviter: e.Inviter, Done: Withdrawing}
		if code == policy.CodeTurnListed || code == policy.CodeTurnDenied {
			turn.Inviter = ""
		}
		if turn.Why, turn.Rule = s.against(v, code, e.Target); turn.Why != "" || !wants(v.p, code) {
			turn.Done = Left
		} else {
			withdrawn++
		}
		if turn.Done == Left && (code == policy.CodeTurnLeft || e.Turned == turn.note()) {
			continue // nothing is wrong, or the room knows
		}
		found.add(turn, e)
	}
	if withdrawn == 0 {
		return found, nil
	}
	ask, err := s.brakes(ctx, v, found, withdrawn, total)
	if err != nil {
		return found, err
	}
	for i := range found.Turns {
		if t := &found.Turns[i]; t.Done == Withdrawing && ask {
			t.Done = Asked
		} else if t.Done == Withdrawing {
			t.Rows, err = s.withdraw(ctx, *t)
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// add puts an invitation into the turn of its kind.
func (v *Review) add(t Turn, e invites.Invitation) {
	i := slices.IndexFunc(v.Turns, func(o Turn) bool {
		return o.Code == t.Code && o.Inviter == t.Inviter && o.Done == t.Done && o.Why == t.Why
	})
	if i < 0 {
		i, v.Turns = len(v.Turns), append(v.Turns, t)
	}
	v.Turns[i].Invitations = append(v.Turns[i].Invitations, e)
}

// view is a room as a review sees it.
type view struct {
	room  id.RoomID
	p     *policy.InForce
	snap  *room.Snapshot
	lists bool // the policy lists can be read
}

// view reads what a review of some invitations needs. It is nil where the room or its policy can't be read.
func (s *Reviews) view(ctx context.Context, r id.RoomID, entries ...invites.Invitation) (*view, error) {
	p, err := s.Judge.Policies.Of(ctx, r, s.Self.Bot)
	if err != nil || p == nil || p.Fault() != nil {
		return nil, invites.UnlessUnseen(err)
	}
	var users []id.UserID
	if nearest, set := p.Nearest(); set && nearest.Person(s.Self.Bot) != "" {
		users = append(users, nearest.Person(s.Self.Bot))
	}
	for _, e := range entries {
		users = append(users, e.Inviter, e.Target)
	}
	slices.Sort(users)
	snap, err := s.Judge.Policies.Look(ctx, r, p, slices.Compact(users)...)
	if err != nil || snap == nil {
		return nil, err
	}
	return &view{room: r, p: p, snap: snap, lists: true}, nil
}

// unreadable returns a policy list that can't be read, if the room does not know of it. Nobody is judged by lists then.
func (s *Reviews) unreadable(ctx context.Context, r id.RoomID, v *view) (id.RoomID, error) {
	list, err := s.Judge.Lists.Unreadable(ctx, v.p.Document.Whom.Lists)
	if err != nil {
		return "", err
	}
	v.lists = list == ""
	told, err := s.Store.Told(ctx, r)
	if err != nil || told == string(list) {
		return "", err
	}
	if list == "" {
		return "", s.Store.SetTold(ctx, r, "")
	}
	return list, nil
}

// turned judges one open invitation anew. The code is empty where nothing has turned.
func (s *Reviews) turned(ctx context.Context, v *view, e invites.Invitation) (room.Rule, error) {
	if now, known := v.snap.Membership(e.Target); !known || now != "invite" {
		return "", nil
	}
	if v.lists && len(v.p.Document.Whom.Lists) > 0 {
		listed, err := s.Judge.Listed(ctx, v.p, e.Target)
		if err != nil || listed {
			return policy.CodeTurnListed, err
		}
	}
	if v.p.Denies(e.Target) {
		return policy.CodeTurnDenied, nil
	}
	if e.Inviter == s.Self.Bot {
		return "", nil
	}
	switch membership, known := v.snap.Membership(e.Inviter); {
	case known && membership == "ban":
		return policy.CodeTurnBanned, nil
	case known && membership == "leave":
		return policy.CodeTurnLeft, nil
	}
	return "", nil
}

// wants reports whether the policy wants the invitations of a finding withdrawn. Without any policy nobody has asked for it.
func wants(p *policy.InForce, code room.Rule) bool {
	word := map[room.Rule]string{policy.CodeTurnListed: policy.Listed, policy.CodeTurnDenied: policy.Denied, policy.CodeTurnBanned: policy.InviterBanned, policy.CodeTurnLeft: policy.InviterLeft}[code]
	_, set := p.Nearest()
	return set && slices.Contains(p.Document.Pending.WithdrawOn, word)
}

// against says what speaks against a withdrawal that the policy wants: the bot, or the author of the policy, lacks the power.
func (s *Reviews) against(v *view, code room.Rule, target id.UserID) (why, rule room.Rule) {
	if !wants(v.p, code) {
		return "", ""
	}
	kick := room.Action{Type: room.Kick, Sender: s.Self.Bot, Target: target}
	if result := room.Authorize(v.snap, kick); result.Verdict != room.Allow {
		return policy.CodeGuardPower, result.Rule
	}
	if result := v.p.Entitled(v.snap, "pending.withdraw_on", kick); result.Verdict != room.Allow {
		return policy.CodeGuardAuthor, result.Rule
	}
	return "", ""
}

// brakes reports whether to ask before n invitations of total open ones are withdrawn: they are many, or the lists ban most of the room's
// members, which is hardly meant.
func (s *Reviews) brakes(ctx context.Context, v *view, found Review, n, total int) (bool, error) {
	now := s.Clock.Now()
	s.mu.Lock()
	var lately []time.Time
	for _, at := range s.recent[v.room] {
		if at.After(now.Add(-brakeWindow)) {
			lately = append(lately, at)
		}
	}
	before := len(lately)
	s.mu.Unlock()
	all := n + before
	if all > brakeMost || all > brakeFew && 2*all > total+before {
		return true, nil
	}
	if slices.ContainsFunc(found.Turns, func(t Turn) bool { return t.Code == policy.CodeTurnListed && t.Done == Withdrawing }) {
		if most, err := s.bansMost(ctx, v); err != nil || most {
			return true, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent == nil {
		s.recent = map[id.RoomID][]time.Time{}
	}
	s.recent[v.room] = append(lately, slices.Repeat([]time.Time{now}, n)...)
	return false, nil
}

// bansMost reports whether the policy lists of a room ban more than half of its members.
func (s *Reviews) bansMost(ctx context.Context, v *view) (bool, error) {
	members, err := s.Members.Members(ctx, v.room, "join")
	if err != nil {
		return false, fmt.Errorf("reading the members of a room: %w", err)
	}
	return s.Judge.ListedMost(ctx, v.p, members)
}

// withdraw records the withdrawals of a turn and returns the rows that are to be delivered.
func (s *Reviews) withdraw(ctx context.Context, t Turn) (due []int64, err error) {
	now := s.Clock.Now()
	rows, audit := make([]invites.Change, len(t.Invitations)), make([]invites.Audit, len(t.Invitations))
	for i, e := range t.Invitations {
		rows[i] = invites.Change{
			Origin: invites.OriginTurned, Request: turnedRequest(t.Code, e), CommandRoom: t.Room, Action: policy.ActionWithdraw, Room: t.Room, Target: e.Target,
			Actor: s.Self.Bot, Performer: s.Self.Bot, Status: invites.StatusOpen, Code: string(t.Code), CreatedAt: now, DueAt: now,
		}
		audit[i] = invites.AuditOf(rows[i], invites.AuditDecision, room.Allow.String(), string(t.Code), "", now)
	}
	stored, err := s.Store.Record(ctx, rows, audit)
	for _, row := range stored {
		if row.Status == invites.StatusOpen {
			due = append(due, row.ID)
		}
	}
	return due, err
}

// turnedRequest is the request of a withdrawal: one for each invitation and finding.
func turnedRequest(code room.Rule, e invites.Invitation) string {
	return "turned:" + string(code) + ":" + e.Event.String()
}

// Ask opens the card of a turn, on which people with the power to kick decide. remark tells the finding. The withdrawals are then the voter's.
func (s *Reviews) Ask(ctx context.Context, t *Turn, remark room.Phrase) (err error) {
	snap, err := s.Homeserver.Snapshot(ctx, t.Room, s.Self.Bot, room.Needs(judge.KickAnybody(s.Self.Bot)), false)
	if err != nil {
		return err
	}
	level, known := snap.NamedLevel("kick")
	if !known {
		return fmt.Errorf("state unknown: %s", room.TypePowerLevels)
	}
	now := s.Clock.Now()
	c := invites.Card{
		Kind: invites.CardWithdraw, Room: t.Room, ShownIn: t.Room, Command: id.EventID(turnedRequest(t.Code, t.Invitations[0])), Home: t.Room, Action: policy.ActionWithdraw,
		Actor: s.Self.Bot, Remark: remark, Votes: 1, Level: level, CreatedAt: now, ExpiresAt: now.Add(askedFor), State: invites.CardOpen,
	}
	for _, e := range t.Invitations {
		c.Targets = append(c.Targets, e.Target)
	}
	t.Card, err = s.Store.OpenCard(ctx, c)
	return err
}

// Told notes that the room knows of a turn.
func (s *Reviews) Told(ctx context.Context, t Turn) error {
	entries := make([]int64, len(t.Invitations))
	for i, e := range t.Invitations {
		entries[i] = e.ID
	}
	return s.Store.SetTurned(ctx, t.note(), entries...)
}

// Unchecked lists some rooms with open invitations that are due for a review.
func (s *Reviews) Unchecked(ctx context.Context) ([]id.RoomID, error) {
	return s.Store.Unchecked(ctx, s.Clock.Now().Add(-recheckEvery), expiryRooms)
}

// Lists reports whether a room is a policy list that some room follows.
func (s *Reviews) Lists(r id.RoomID) bool { return s.Judge.Lists.Known(r) }

// ToldUnreadable notes that the room knows of a policy list that can't be read.
func (s *Reviews) ToldUnreadable(ctx context.Context, r, list id.RoomID) error {
	return s.Store.SetTold(ctx, r, string(list))
}

// Wanted implements delivery.Check: the invitation stands, and what speaks against it still does.
func (s *Reviews) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	e, open, err := s.open(ctx, row)
	if err != nil {
		return "", detail, err
	}
	if open && turnedRequest(room.Rule(row.Code), e) == row.Request {
		v, err := s.view(ctx, row.Room, e)
		if err != nil {
			return "", detail, err
		}
		if v != nil {
			turned, err := s.turned(ctx, v, e)
			if err != nil && !errors.Is(err, invites.ErrNoView) {
				return "", detail, err
			}
			if why, _ := s.against(v, turned, e.Target); err == nil && string(turned) == row.Code && wants(v.p, turned) && why == "" {
				return "", detail, nil
			}
		}
	}
	code, detail = stands(row)
	return code, detail, nil
}
