package invites

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/policy"
	"usher/room"
)

// ExpiryRule is what a room's policy says of invitations that nobody answers.
type ExpiryRule struct {
	After     time.Duration // age at which one is withdrawn; 0: never
	Remind    time.Duration // how long before that its inviter is reminded; 0: not at all
	Powerless bool          // the bot lacks the power to withdraw
	Lends     bool          // whoever wrote it lacks the power to withdraw, so that it is not carried out
}

// How often the sweep looks at rooms, and how much it does at a time.
const (
	expiryRooms   = 20
	expiryEntries = 100
	recheckEvery  = time.Hour      // a policy that changed unseen
	retryEvery    = 24 * time.Hour // an expiry that was refused
)

// Expiry returns a room's rule. Where the policy can't be seen or read there is none.
func (s *Service) Expiry(ctx context.Context, r id.RoomID) (ExpiryRule, error) {
	return s.expiry(ctx, r, kickAnybody(s.Self.Bot))
}

// expiry returns a room's rule as far as it goes for one withdrawal.
func (s *Service) expiry(ctx context.Context, r id.RoomID, kick room.Action) (rule ExpiryRule, err error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, []room.Key{policy.Key()}, false)
	if errors.Is(err, ErrNoView) {
		return rule, nil
	}
	if err != nil {
		return rule, err
	}
	p, err := s.inForce(ctx, r, s.Self.Bot, snap)
	if err != nil || p == nil || p.Fault() != nil || p.Document.Pending.ExpireAfter == 0 {
		return rule, err
	}
	if snap, err = s.look(ctx, r, p, kick.Target); err != nil || snap == nil {
		return rule, err
	}
	pending := p.Document.Pending
	return ExpiryRule{
		After: pending.ExpireAfter, Remind: min(pending.RemindBefore, pending.ExpireAfter),
		Powerless: room.Authorize(snap, kick).Verdict != room.Allow,
		Lends:     p.Entitled(snap, "pending.expire_after", kick).Verdict != room.Allow,
	}, nil
}

// Expire looks which open invitations have expired, records their withdrawal, and returns the rows to deliver, and the
// invitations of whose expiry somebody is to be reminded. What it does is bounded; the next call goes on.
func (s *Service) Expire(ctx context.Context) (due []int64, remind []Invitation, err error) {
	now := s.Clock.Now()
	if err := s.checkExpiries(ctx, now); err != nil {
		return nil, nil, err
	}
	overdue, err := s.Store.Overdue(ctx, now, now.Add(-retryEvery), expiryEntries)
	if err != nil {
		return nil, nil, err
	}
	if due, err = s.recordExpiries(ctx, overdue, now); err != nil {
		return nil, nil, err
	}
	remind, err = s.Store.ToRemind(ctx, now, expiryEntries)
	return due, remind, err
}

// checkExpiries reads the rules of some rooms anew.
func (s *Service) checkExpiries(ctx context.Context, now time.Time) error {
	rooms, err := s.Store.Unchecked(ctx, now.Add(-recheckEvery), expiryRooms)
	if err != nil {
		return err
	}
	var failed error
	for _, r := range rooms {
		rule, err := s.Expiry(ctx, r)
		if err != nil {
			failed = fmt.Errorf("reading the policy of %s: %w", r, err)
			continue
		}
		if rule.Powerless || rule.Lends {
			rule = ExpiryRule{} // !pending says so; it may change
		}
		if err := s.Store.SetExpiry(ctx, r, rule, now); err != nil {
			return err
		}
	}
	return failed
}

// expiryPrefix begins the command of a row that no message asked for.
const expiryPrefix = "expire:"

// recordExpiries makes a row for each entry. It is the entry's own, once a day.
func (s *Service) recordExpiries(ctx context.Context, overdue []Invitation, now time.Time) ([]int64, error) {
	if len(overdue) == 0 {
		return nil, nil
	}
	rows, audit := make([]Change, len(overdue)), make([]Audit, len(overdue))
	tried := make([]int64, len(overdue))
	for i, e := range overdue {
		rows[i] = Change{
			Command:     id.EventID(expiryPrefix + now.UTC().Format(time.DateOnly) + ":" + e.Event.String()),
			CommandRoom: e.Room, Action: policy.ActionExpire, Room: e.Room, Target: e.Target, Actor: s.Self.Bot, Performer: s.Self.Bot,
			Reason: "The invitation was not answered in time.", Status: StatusOpen, Code: "expired", CreatedAt: now, DueAt: now,
		}
		audit[i] = auditOf(rows[i], AuditDecision, room.Allow.String(), "expired", "", now)
		tried[i] = e.ID
	}
	stored, err := s.Store.Record(ctx, rows, audit)
	if err != nil {
		return nil, err
	}
	var due []int64
	for _, row := range stored {
		if row.Status == StatusOpen {
			due = append(due, row.ID)
		}
	}
	return due, s.Store.Tried(ctx, now, tried...)
}

// stands reports whether an invitation whose expiry was recorded is to stand after all: it was answered or renewed, or the
// policy has changed.
func (s *Service) stands(ctx context.Context, inv Change) (bool, error) {
	entry, err := s.Store.PendingOf(ctx, inv.Room, inv.Target)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	// The ledger hears of a renewal with the next transaction, the room shows it at once.
	member := room.MemberKey(inv.Target)
	snap, err := s.Homeserver.Snapshot(ctx, inv.Room, s.Self.Bot, []room.Key{member}, true)
	if errors.Is(err, ErrNoView) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	switch event, known := snap.Event(member); {
	case !known:
		return false, fmt.Errorf("state unknown: %v", member)
	case event != nil && event.ID != entry.Event && exactjson.Text(event.Content, "membership") == "invite":
		return true, nil
	}
	rule, err := s.expiry(ctx, inv.Room, room.Action{Type: room.Kick, Sender: s.Self.Bot, Target: inv.Target})
	if err != nil {
		return false, err
	}
	expired := rule.After > 0 && !rule.Lends && !entry.At.Add(rule.After).After(s.Clock.Now())
	return !expired || !strings.HasSuffix(inv.Command.String(), ":"+entry.Event.String()), nil
}
