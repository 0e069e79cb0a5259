package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// ExpiryStore is the part of the store with the times when open invitations expire.
type ExpiryStore interface {
	// Unchecked returns up to limit rooms with open invitations and a rule last set before a time, or never.
	Unchecked(ctx context.Context, before time.Time, limit int) ([]id.RoomID, error)
	// SetExpiry keeps a room's rule, as set at a time; nil: the one there.
	SetExpiry(ctx context.Context, r id.RoomID, rule *invites.ExpiryRule, at time.Time) error
	// Overdue returns up to limit open invitations due to expire by now, without the invitations tried after a time.
	Overdue(ctx context.Context, now, tried time.Time, limit int) ([]invites.Invitation, error)
	// Tried marks invitations as tried at a time.
	Tried(ctx context.Context, at time.Time, entries ...int64) error
	// ToRemind returns up to limit open invitations with a reminder to the inviter due by now and not yet sent.
	ToRemind(ctx context.Context, now time.Time, limit int) ([]invites.Invitation, error)
	// PendingOf returns the open invitation of a user in a room, or ErrNotFound.
	PendingOf(ctx context.Context, r id.RoomID, target id.UserID) (invites.Invitation, error)
	// Record adds new rows, and their audit, in one commit. It returns the rows as stored.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
}

// Homeserver shows state, as judge.Homeserver does.
type Homeserver interface {
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
}

// Expiries withdraws invitations without an answer in time. All fields are required.
type Expiries struct {
	Store      ExpiryStore
	Homeserver Homeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
}

// How often the sweep looks at rooms, and how much it does at a time.
const (
	expiryRooms   = 20
	expiryEntries = 100
	recheckEvery  = time.Hour       // a policy changed unseen
	unreadEvery   = 5 * time.Minute // a policy that can't be read
	retryEvery    = 24 * time.Hour  // a refused expiry
)

// Rule returns a room's rule. Where the policy can't be seen or read there is none.
func (s *Expiries) Rule(ctx context.Context, r id.RoomID) (invites.ExpiryRule, error) {
	return s.rule(ctx, r, judge.KickAnybody(s.Self.Bot))
}

// rule returns a room's rule as far as it goes for one withdrawal.
func (s *Expiries) rule(ctx context.Context, r id.RoomID, kick room.Action) (rule invites.ExpiryRule, err error) {
	p, err := s.Judge.Policies.Of(ctx, r, s.Self.Bot)
	if errors.Is(err, invites.ErrNoView) {
		return rule, nil
	}
	if err != nil || p == nil || p.Fault() != nil || p.Document.Pending.ExpireAfter == 0 {
		return rule, err
	}
	snap, err := s.Judge.Policies.Look(ctx, r, p, kick.Target)
	if err != nil || snap == nil {
		return rule, err
	}
	pending := p.Document.Pending
	return invites.ExpiryRule{
		After: pending.ExpireAfter, Remind: min(pending.RemindBefore, pending.ExpireAfter),
		Powerless: room.Authorize(snap, kick).Verdict != room.Allow,
		Lends:     p.Entitled(snap, "pending.expire_after", kick).Verdict != room.Allow,
	}, nil
}

// Expire finds expired invitations, records their withdrawal, and returns the rows to deliver, and the invitations about which somebody
// is to be reminded. Its work is bounded; the next call goes on. Trouble with the policies of some rooms holds up no others.
func (s *Expiries) Expire(ctx context.Context) (due []int64, remind []invites.Invitation, err error) {
	now := s.Clock.Now()
	unread := s.check(ctx, now)
	defer func() { err = errors.Join(unread, err) }()
	overdue, err := s.Store.Overdue(ctx, now, now.Add(-retryEvery), expiryEntries)
	if err != nil {
		return nil, nil, err
	}
	if due, err = s.record(ctx, overdue, now); err != nil {
		return nil, nil, err
	}
	remind, err = s.Store.ToRemind(ctx, now, expiryEntries)
	return due, remind, err
}

// check reads the rules of some rooms anew.
func (s *Expiries) check(ctx context.Context, now time.Time) error {
	rooms, err := s.Store.Unchecked(ctx, now.Add(-recheckEvery), expiryRooms)
	if err != nil {
		return err
	}
	var failed error
	for _, r := range rooms {
		rule, err := s.Rule(ctx, r)
		if err != nil {
			failed = errors.Join(fmt.Errorf("reading the policy of %s: %w", r, err), s.Store.SetExpiry(ctx, r, nil, now.Add(unreadEvery-recheckEvery)))
			continue
		}
		if rule.Powerless || rule.Lends {
			rule = invites.ExpiryRule{} // !pending says so; it may change
		}
		if err := s.Store.SetExpiry(ctx, r, &rule, now); err != nil {
			return err
		}
	}
	return failed
}

// requestFor is the request of a withdrawal: one a day for each invitation.
func requestFor(e invites.Invitation, at time.Time) string {
	return "expire:" + at.UTC().Format(time.DateOnly) + ":" + e.Event.String()
}

// record makes a row for each invitation: its own, once a day.
func (s *Expiries) record(ctx context.Context, overdue []invites.Invitation, now time.Time) ([]int64, error) {
	if len(overdue) == 0 {
		return nil, nil
	}
	rows, audit := make([]invites.Change, len(overdue)), make([]invites.Audit, len(overdue))
	tried := make([]int64, len(overdue))
	for i, e := range overdue {
		rows[i] = invites.Change{
			Origin: invites.OriginExpiry, Request: requestFor(e, now), CommandRoom: e.Room, Action: policy.ActionExpire, Room: e.Room, Target: e.Target, Actor: s.Self.Bot, Performer: s.Self.Bot,
			Status: invites.StatusOpen, Code: "expired", CreatedAt: now, DueAt: now,
		}
		audit[i] = invites.AuditOf(rows[i], invites.AuditDecision, room.Allow.String(), "expired", "", now)
		tried[i] = e.ID
	}
	stored, err := s.Store.Record(ctx, rows, audit)
	if err != nil {
		return nil, err
	}
	var due []int64
	for _, row := range stored {
		if row.Status == invites.StatusOpen {
			due = append(due, row.ID)
		}
	}
	return due, s.Store.Tried(ctx, now, tried...)
}

// Wanted implements delivery.Check.
func (s *Expiries) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	expired, err := s.expired(ctx, row)
	if err == nil && !expired {
		code, detail = stands(row)
	}
	return code, detail, err
}

// stands is the outcome of a recorded withdrawal whose invitation is to stand after all.
func stands(row invites.Change) (code string, detail room.Phrase) {
	q := policy.Question{Action: row.Action, Actor: row.Actor, Performer: row.Performer, Target: row.Target}
	d := policy.Decision{Code: policy.CodeStands, Side: policy.SidePolicy}
	return string(d.Code), policy.Explain(q, d).Phrase()
}

// expired reports whether the invitation of a recorded withdrawal is open, and is to expire by the policy as it is now.
func (s *Expiries) expired(ctx context.Context, row invites.Change) (bool, error) {
	entry, open, err := s.open(ctx, row)
	if err != nil || !open {
		return false, err
	}
	rule, err := s.rule(ctx, row.Room, room.Action{Type: room.Kick, Sender: s.Self.Bot, Target: row.Target})
	if err != nil {
		return false, err
	}
	over := rule.After > 0 && !rule.Lends && !entry.At.Add(rule.After).After(s.Clock.Now())
	return over && row.Request == requestFor(entry, row.CreatedAt), nil
}

// open returns the invitation that a row withdraws, and whether it is still the open one: it may have been answered or renewed.
func (s *Expiries) open(ctx context.Context, row invites.Change) (entry invites.Invitation, open bool, err error) {
	entry, err = s.Store.PendingOf(ctx, row.Room, row.Target)
	if err != nil {
		return entry, false, invites.UnlessNone(err)
	}
	// The ledger hears of a renewal with the next transaction, the room shows it at once.
	member := room.MemberKey(row.Target)
	snap, err := s.Homeserver.Snapshot(ctx, row.Room, s.Self.Bot, []room.Key{member}, true)
	if errors.Is(err, invites.ErrNoView) {
		return entry, false, nil
	} else if err != nil {
		return entry, false, err
	}
	event, known := snap.Event(member)
	if !known {
		return entry, false, fmt.Errorf("state unknown: %v", member)
	}
	return entry, event == nil || event.ID == entry.Event || exactjson.Text(event.Content, "membership") != "invite", nil
}
