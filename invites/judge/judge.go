package judge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store read by decisions.
type Store interface {
	// Spent returns the invitations counting in a room after a time.
	Spent(ctx context.Context, r id.RoomID, by invites.SpentBy, since time.Time) (invites.Spent, error)
	// PendingOf returns the open invitation of a user in a room, or ErrNotFound.
	PendingOf(ctx context.Context, r id.RoomID, target id.UserID) (invites.Invitation, error)
	// ChangesOf returns the rows of one request, by ID.
	ChangesOf(ctx context.Context, request string) ([]invites.Change, error)
	// UnsentOf returns the invitations of some users in a room that wait to be sent.
	UnsentOf(ctx context.Context, r id.RoomID, targets ...id.UserID) ([]invites.Change, error)
	// LateSince returns when a member event came, if its date is earlier by more than the usual delay; else the zero time.
	LateSince(ctx context.Context, event id.EventID) (time.Time, error)
}

// Homeserver shows the facts of decisions. All errors but ErrNoView and context errors are *ActError.
type Homeserver interface {
	// Snapshot returns the known state of a room, with at least needs in it, read as the bot where it is in the room, else
	// as viewer by identity assertion, else ErrNoView. fresh bypasses the cache.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// StateEvent returns a state event, current or past, read as in Snapshot.
	StateEvent(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (invites.StateEvent, error)
	// CurrentEvent returns the current event of a piece of state, also where the bot can't see the room's history; with Hidden set.
	CurrentEvent(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key) (invites.StateEvent, error)
	// MemberCount returns how many users are joined to a room, or, where cheaper, an upper bound below enough.
	MemberCount(ctx context.Context, r id.RoomID, viewer id.UserID, enough int64) (int64, error)
	// Collect returns the state events of some types in a room joined by the bot: all of them where whole is true, else
	// the changes since the last call for the same room. The caller must have the result of the last call. Calls for one room must not overlap.
	Collect(ctx context.Context, r id.RoomID, types []string, have bool) (changes []invites.StateChange, whole bool, err error)
	// Spaces returns the rooms claiming a room as their child. Their state tells whether they still do.
	Spaces(r id.RoomID) []id.RoomID
	// Governs reports whether a room was last seen to inherit a policy from a space that it names. SetGoverns notes it.
	Governs(child, space id.RoomID) bool
	SetGoverns(child, space id.RoomID, governs bool)
}

// Judge decides. New makes one.
type Judge struct {
	Policies *Policies
	History  *History
	Lists    *Lists
	Reach    *Reach

	store      Store
	homeserver Homeserver
	clock      invites.Clock
	self       invites.Identity
}

// New puts a Judge together.
func New(store Store, homeserver Homeserver, clock invites.Clock, self invites.Identity) *Judge {
	up := upgrades{homeserver, self}
	policies := &Policies{homeserver: homeserver, self: self, upgrades: up}
	reach := &Reach{homeserver: homeserver, self: self, policies: policies}
	return &Judge{
		Policies: policies, History: &History{homeserver: homeserver, store: store, self: self},
		Lists: &Lists{homeserver: homeserver, self: self, reach: reach, upgrades: up}, Reach: reach,
		store: store, homeserver: homeserver, clock: clock, self: self,
	}
}

// Judgement is a decision on one target, before anything was done.
type Judgement struct {
	Question policy.Question
	Decision policy.Decision
	Charges  bool // it counts against quotas
}

// Explain puts the judgement into words.
func (j Judgement) Explain() policy.Explanation { return policy.Explain(j.Question, j.Decision) }

// MaxPrefetched is for how many targets the state is read at a time, fewer than the cache keeps.
const MaxPrefetched = 5000

// Prefetch reads the state for the decisions on some targets side by side, where the bot may read it: one after the
// other, each decision would wait for the homeserver. The decision deals with a failed read.
func (s *Judge) Prefetch(ctx context.Context, r id.RoomID, questions []policy.Question) {
	var needs []room.Key
	seen := map[room.Key]bool{}
	for _, q := range questions {
		for _, k := range policy.Needs(q) {
			if !seen[k] {
				seen[k] = true
				needs = append(needs, k)
			}
		}
	}
	_, _ = s.homeserver.Snapshot(ctx, r, "", needs, false)
}

// Each decides on the questions of one request in order, each after the quotas spent by the questions before it. Where an actor lacks only the
// power to send an invitation, or to take one back, the bot is judged as the performer: a policy may delegate this.
func (s *Judge) Each(ctx context.Context, r id.RoomID, questions []policy.Question, w *Reader) ([]Judgement, error) {
	out := make([]Judgement, len(questions))
	for i, q := range questions {
		if i%MaxPrefetched == 1 { // the first decision finds out whether the bot is there at all
			s.Prefetch(ctx, r, questions[i:min(i+MaxPrefetched, len(questions))])
		}
		j, err := s.Decide(ctx, r, q, policy.Facts{}, w)
		if err == nil && lacksPower(j) && !w.Native {
			j, err = s.delegated(ctx, r, j, w)
		}
		if err != nil {
			return nil, err
		}
		if j.Charges {
			w.spent = w.spent.With(s.clock.Now())
		}
		out[i] = j
	}
	return out, nil
}

// lacksPower reports whether an invitation, or taking one back, fails only for the power of the actor as its sender.
func lacksPower(j Judgement) bool {
	if j.Question.Performer != j.Question.Actor {
		return false
	}
	return j.Question.Action == room.Invite && j.Decision.Code == room.RuleInvitePower ||
		j.Question.Action == policy.ActionWithdraw && policy.LacksKick(j.Decision.Verdict, j.Decision.Code)
}

// delegated decides again with the bot as the performer, for a delegating policy.
func (s *Judge) delegated(ctx context.Context, r id.RoomID, own Judgement, w *Reader) (Judgement, error) {
	q := own.Question
	q.Performer = s.self.Bot
	j, err := s.Decide(ctx, r, q, policy.Facts{}, w)
	if err != nil || (j.Decision.Code == own.Decision.Code && j.Decision.Side == policy.SideActor) {
		return own, err
	}
	return j, nil
}

// Decide reads the state and the facts for the question, and decides it. Facts in f are not looked for. w may be nil.
func (s *Judge) Decide(ctx context.Context, r id.RoomID, q policy.Question, f policy.Facts, w *Reader) (Judgement, error) {
	j := Judgement{Question: q}
	if q.Performer != s.self.Bot && !s.self.MayAssert(q.Performer) && !(q.Own() && w.asks()) && !w.native() {
		j.Decision = policy.Decision{Code: policy.CodeNoAssertion, Side: policy.SidePerformer}
		return j, nil
	}
	snap, err := s.homeserver.Snapshot(ctx, r, w.viewer(q), policy.Needs(q), false)
	if errors.Is(err, invites.ErrNoView) {
		j.Decision = policy.Decision{Verdict: room.Unknown, Code: policy.CodeNoView}
		return j, nil
	}
	if err != nil {
		return j, fmt.Errorf("reading the room's state: %w", err)
	}
	p := policy.Merge() // a policy is about invitations
	if q.Action == room.Invite {
		if p, err = s.Policies.inForce(ctx, r, w.viewer(q), snap); err != nil {
			return j, err
		}
	}
	f.Now, f.Link, f.Unasked = s.clock.Now(), w.link(), f.Unasked || w.unasked()
	j.Decision = policy.Decide(snap, q, p, f)
	if q.Action == policy.ActionWithdraw && j.Decision.Code == policy.CodeNotInvited {
		unsent, err := s.store.UnsentOf(ctx, r, q.Target)
		if err != nil {
			return j, err
		}
		for _, row := range unsent {
			f.Unsent = append(f.Unsent, row.Actor)
		}
		j.Decision = policy.Decide(snap, q, p, f)
	}
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
		needs := append(policy.Needs(q), p.AuthorKeys(s.self.Bot)...)
		if snap, err = s.homeserver.Snapshot(ctx, r, w.viewer(q), needs, false); err != nil {
			return j, fmt.Errorf("reading the rights of the policy's authors: %w", err)
		}
	}
	if f, err = s.facts(ctx, r, q, p, snap, f, w); err != nil {
		return j, fmt.Errorf("finding out what the room's policy depends on: %w", err)
	}
	j.Decision = policy.Decide(snap, q, p, f)
	granted := j.Decision.Verdict == room.Allow || j.Decision.Code == policy.CodeApproval // asking for approval counts, too
	j.Charges = granted && f.Have&policy.FactSpent != 0
	return j, nil
}

// mayBeTheirs reports whether a withdrawal by the bot fails only for the actor's power, so it matters which user asked for the
// invitation.
func (s *Judge) mayBeTheirs(j Judgement) bool {
	q, d := j.Question, j.Decision
	return q.Action == policy.ActionWithdraw && q.Performer == s.self.Bot && q.Actor != s.self.Bot &&
		d.Side == policy.SideActor && policy.LacksKick(d.Verdict, d.Code)
}

// theirs reports whether the actor had the bot send the open invitation to be withdrawn: by the ledger, if it knows the very
// event in the room's state, and by the row of the invitation. It returns the room's policy, too, which may let the actor take the
// invitation back; an unreadable policy lets nobody.
func (s *Judge) theirs(ctx context.Context, r id.RoomID, q policy.Question, w *Reader, snap *room.Snapshot) (*policy.InForce, bool, error) {
	entry, err := s.store.PendingOf(ctx, r, q.Target)
	if errors.Is(err, invites.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if entry.Way != invites.WayBot || entry.Sender != s.self.Bot || entry.Inviter != q.Actor || entry.Event != invites.MemberEventID(snap, q.Target) {
		return nil, false, nil
	}
	rows, err := s.store.ChangesOf(ctx, string(entry.Command))
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		if row.Action == room.Invite && row.Room == r && row.Target == q.Target && row.Actor == q.Actor && row.Performer == s.self.Bot &&
			row.Status == invites.StatusDone && row.Code != string(policy.CodeAlready) {
			p, err := s.Policies.inForce(ctx, r, w.viewer(q), snap)
			return p, p != nil, err
		}
	}
	return nil, false, nil
}

// ByHand decides on an invitation made by its sender past the bot, as if they had asked the bot for it, by the policy p. The room is as
// the snapshot shows it.
func (s *Judge) ByHand(ctx context.Context, r id.RoomID, q policy.Question, p *policy.InForce) (policy.Decision, *room.Snapshot, error) {
	snap, err := s.homeserver.Snapshot(ctx, r, "", policy.Needs(q), false)
	if err != nil {
		return policy.Decision{}, nil, err
	}
	facts, err := s.facts(ctx, r, q, p, snap, policy.Facts{Now: s.clock.Now()}, &Reader{})
	if err != nil {
		return policy.Decision{}, nil, err
	}
	return policy.Decide(policy.Uninvited(snap, q), q, p, facts), snap, nil
}
