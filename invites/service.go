package invites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Identity says whom Usher may be.
type Identity struct {
	Bot      id.UserID
	Domain   string               // server name of the homeserver
	Assert   bool                 // a second registration allows acting as local users
	AutoJoin func(id.UserID) bool // local users who are joined as soon as they are invited; nil: nobody
}

// MayAssert reports whether Usher may act as a user by identity assertion.
func (i Identity) MayAssert(user id.UserID) bool {
	return i.Assert && user != i.Bot && user.Homeserver() == i.Domain
}

// Limits of the service.
type Limits struct {
	AtOnce      int           // how many invitations of one command are delivered before the answer; the rest is queued
	Lease       time.Duration // how long one attempt may take before another may start
	GiveUpAfter time.Duration // age at which a failing invitation is given up
}

// Service carries out the use cases.
type Service struct {
	Store      Store
	Homeserver Homeserver
	Queue      Queue
	Clock      Clock
	Self       Identity
	Limits     Limits

	memory memory
	pace   pacer
}

// Request is what a command asks for: one action on some targets in one room.
type Request struct {
	Command     id.EventID
	CommandRoom id.RoomID
	Actor       id.UserID // verified sender of the command
	Action      room.ActionType
	Room        id.RoomID
	Via         []string
	Targets     []id.UserID
	Reason      string
	AsBot       bool      // the bot performs even where it could act as the actor
	Asker       id.UserID // whom records name, where an operator sends the bot somewhere, as the actor; empty: the actor
	Viewer      id.UserID // of a judgement: read as them where the bot can't; empty: the actor
}

// Judgement is a decision on one target, before anything was done.
type Judgement struct {
	Question policy.Question
	Decision policy.Decision

	charge bool // it counts against quotas
}

// Explain puts the judgement into words.
func (j Judgement) Explain() policy.Explanation { return policy.Explain(j.Question, j.Decision) }

// Judge decides on each target without doing anything: what !why and --dry-run show, and what Ask acts on.
// It fails when the homeserver does not answer.
func (s *Service) Judge(ctx context.Context, req Request) ([]Judgement, error) {
	return s.judgeAll(ctx, req, &purse{viewer: req.Viewer})
}

// foreseen is for how many targets the state is read at a time, fewer than the cache keeps.
const foreseen = 5000

// foresee has what the decisions on some targets depend on read side by side, where the bot may read it: one after the other, each
// would wait for the homeserver. What can't be read is found out by the decision.
func (s *Service) foresee(ctx context.Context, req Request, targets []id.UserID) {
	var needs []room.Key
	seen := map[room.Key]bool{}
	for _, target := range targets {
		for _, k := range policy.Needs(policy.Question{Action: req.Action, Actor: req.Actor, Performer: s.performer(req, target), Target: target}) {
			if !seen[k] {
				seen[k] = true
				needs = append(needs, k)
			}
		}
	}
	_, _ = s.Homeserver.Snapshot(ctx, req.Room, "", needs, false)
}

// judgeAll decides on the targets in order, each after what the ones before it spend.
func (s *Service) judgeAll(ctx context.Context, req Request, w *purse) ([]Judgement, error) {
	out := make([]Judgement, len(req.Targets))
	for i, target := range req.Targets {
		if i%foreseen == 1 { // the first decision finds out whether the bot is there at all
			s.foresee(ctx, req, req.Targets[i:min(i+foreseen, len(req.Targets))])
		}
		q := policy.Question{Action: req.Action, Actor: req.Actor, Performer: s.performer(req, target), Target: target}
		j, err := s.decide(ctx, req.Room, q, policy.Facts{}, w)
		if err == nil && lacksPower(j) {
			j, err = s.delegated(ctx, req.Room, j, w)
		}
		if err != nil {
			return nil, err
		}
		if j.charge {
			w.spent = w.spent.With(s.Clock.Now())
		}
		out[i] = j
	}
	return out, nil
}

// lacksPower reports whether an invitation, or taking one back, fails for nothing but the power of the one who would send it
// themselves.
func lacksPower(j Judgement) bool {
	if j.Question.Performer != j.Question.Actor {
		return false
	}
	return j.Question.Action == room.Invite && j.Decision.Code == room.RuleInvitePower ||
		j.Question.Action == policy.ActionWithdraw && policy.LacksKick(j.Decision.Verdict, j.Decision.Code)
}

// delegated decides again with the bot as the performer, which is what a policy that delegates means.
func (s *Service) delegated(ctx context.Context, r id.RoomID, own Judgement, w *purse) (Judgement, error) {
	q := own.Question
	q.Performer = s.Self.Bot
	j, err := s.decide(ctx, r, q, policy.Facts{}, w)
	if err != nil || (j.Decision.Code == own.Decision.Code && j.Decision.Side == policy.SideActor) {
		return own, err
	}
	return j, nil
}

// Joined reports whether a user is in a room, as far as it can be seen on their behalf.
func (s *Service) Joined(ctx context.Context, r id.RoomID, user id.UserID) (bool, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, user, []room.Key{{Type: "m.room.member", StateKey: string(user)}}, false)
	if errors.Is(err, ErrNoView) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the room's state: %w", err)
	}
	membership, _ := snap.Membership(user)
	return membership == "join", nil
}

// performer chooses who sends the change. A join or a knock can only be sent by the one whose it is.
func (s *Service) performer(req Request, target id.UserID) id.UserID {
	switch {
	case req.Action == room.Join, req.Action == room.Knock:
		return target
	case !req.AsBot && s.Self.MayAssert(req.Actor):
		return req.Actor
	}
	return s.Self.Bot
}

// decide reads what the question depends on, and decides it. Of the facts, those that are given are not looked for.
func (s *Service) decide(ctx context.Context, r id.RoomID, q policy.Question, f policy.Facts, w *purse) (Judgement, error) {
	j := Judgement{Question: q}
	if q.Performer != s.Self.Bot && !s.Self.MayAssert(q.Performer) && !(q.Own() && w.asks()) {
		j.Decision = policy.Decision{Code: policy.CodeNoAssertion, Side: policy.SidePerformer}
		return j, nil
	}
	snap, err := s.Homeserver.Snapshot(ctx, r, w.reader(q), policy.Needs(q), false)
	if errors.Is(err, ErrNoView) {
		j.Decision = policy.Decision{Verdict: room.Unknown, Code: policy.CodeNoView}
		return j, nil
	}
	if err != nil {
		return j, fmt.Errorf("reading the room's state: %w", err)
	}
	p := policy.Merge() // a policy is about invitations
	if q.Action == room.Invite {
		if p, err = s.inForce(ctx, r, w.reader(q), snap); err != nil {
			return j, err
		}
	}
	f.Now = s.Clock.Now()
	j.Decision = policy.Decide(snap, q, p, f)
	if s.mayBeTheirs(j) {
		if p, f.Theirs, err = s.theirs(ctx, r, q, w, snap); err != nil || !f.Theirs {
			return j, err
		}
		j.Decision = policy.Decide(snap, q, p, f)
	}
	if j.Decision.Code != policy.CodeFacts {
		return j, nil
	}
	if j.Decision.Missing&policy.FactAuthors != 0 {
		needs := append(policy.Needs(q), p.AuthorKeys(s.Self.Bot)...)
		if snap, err = s.Homeserver.Snapshot(ctx, r, w.reader(q), needs, false); err != nil {
			return j, fmt.Errorf("reading what the policy's authors may do: %w", err)
		}
	}
	if f, err = s.facts(ctx, r, q, p, snap, f, w); err != nil {
		return j, fmt.Errorf("finding out what the room's policy depends on: %w", err)
	}
	j.Decision = policy.Decide(snap, q, p, f)
	granted := j.Decision.Verdict == room.Allow || j.Decision.Code == policy.CodeApproval // asking for approval counts, too
	j.charge = granted && f.Have&policy.FactSpent != 0
	return j, nil
}

// Ask decides on every target, records what is to be done with its audit in one commit, delivers the first few at once and
// queues the rest. It returns a row for each target, in order. Asked again for the same command, it takes up where it was.
func (s *Service) Ask(ctx context.Context, req Request) ([]Change, error) {
	rows, claimed, err := s.record(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.openCards(ctx, rows); err != nil {
		return nil, err
	}
	now := s.Clock.Now()
	var first []*Change
	var queue []int64
	for i, row := range rows {
		switch {
		case row.Status != StatusOpen || row.DueAt.After(now):
			// settled, or the queue has it for later
		case len(first) < s.Limits.AtOnce:
			first = append(first, &rows[i])
		default:
			queue = append(queue, row.ID)
		}
	}
	if err := s.deliverNow(ctx, first, claimed); err != nil {
		return nil, err
	}
	if len(queue) > 0 {
		if err := s.Queue.Wake(ctx, now, queue...); err != nil {
			return nil, fmt.Errorf("queueing: %w", err)
		}
	}
	return slices.DeleteFunc(rows, func(row Change) bool { return row.Action != req.Action }), nil
}

// awaitable is how near the end of an attempt must be to be waited for before anything is said of it.
const awaitable = 3 * time.Second

// deliverNow delivers in the lane, and updates the rows to what they are then; what can't be done now is left to the queue. Those
// not claimed yet are claimed here; its error is an *UnderWayError where one of them will be free in a moment.
func (s *Service) deliverNow(ctx context.Context, rows []*Change, claimed map[int64]bool) error {
	var mine []Change
	var others []int64
	for _, row := range rows {
		if claimed[row.ID] {
			mine = append(mine, *row)
		} else {
			others = append(others, row.ID)
		}
	}
	now := s.Clock.Now()
	if len(others) > 0 {
		more, err := s.Store.Claim(ctx, others, now, s.Limits.Lease)
		if err != nil {
			return err
		}
		mine = append(mine, more...)
	}
	if err := s.deliverMine(ctx, rows, mine); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Status == StatusOpen && row.LeasedUntil.After(now) && row.LeasedUntil.Before(now.Add(awaitable)) {
			return &UnderWayError{Until: row.LeasedUntil}
		}
	}
	return nil
}

// deliverMine delivers those of the rows that were claimed for it.
func (s *Service) deliverMine(ctx context.Context, rows []*Change, mine []Change) error {
	if len(mine) == 0 {
		return nil
	}
	outcomes, after, err := s.deliver(ctx, mine)
	if err != nil {
		return err
	}
	for i, inv := range after {
		*rows[slices.IndexFunc(rows, func(row *Change) bool { return row.ID == inv.ID })] = inv
		if outcomes[i].Status == StatusOpen {
			if err := s.Queue.Wake(ctx, outcomes[i].At, inv.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Progress returns the rows that a command asked for as they are now, without the automatic joins that followed.
func (s *Service) Progress(ctx context.Context, command id.EventID) ([]Change, error) {
	rows, err := s.Store.Invitations(ctx, command)
	return slices.DeleteFunc(rows, func(row Change) bool { return row.Action != rows[0].Action }), err
}
