package metrics

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Act counts an act.
func (m *Metrics) Act(action string, err error) { m.acts.WithLabelValues(action, result(err)).Inc() }

// result is the label for the result of an act.
func result(err error) string {
	switch {
	case err == nil:
		return "done"
	case invites.Refused(err):
		return "refused"
	case invites.IsClass(err, invites.ClassLater):
		return "later"
	case invites.Stopped(err):
		return "stopped"
	case invites.IsClass(err, invites.ClassFailed):
		return "failed"
	}
	return "cancelled"
}

// Queue counts the rows that q wakes.
func (m *Metrics) Queue(q invites.Queue) invites.Queue { return queue{q, m} }

type queue struct {
	invites.Queue
	m *Metrics
}

// Wake implements invites.Queue.
func (q queue) Wake(ctx context.Context, at time.Time, rows ...int64) error {
	q.m.wakeUps.Add(float64(len(rows)))
	return q.Queue.Wake(ctx, at, rows...)
}

// Store is the part of the store that is counted and timed.
type Store interface {
	Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) ([]invites.Received, error)
	Received(ctx context.Context, event id.EventID) (invites.Received, error)
	Handled(ctx context.Context, event id.EventID) error
	Quarantine(ctx context.Context, bad []invites.Undecodable) error
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
	Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) ([]invites.Change, error)
	Settle(ctx context.Context, settlements ...invites.Settlement) error
}

// Store counts and times the calls of s, and counts decisions and outcomes.
func (m *Metrics) Store(s Store) Store { return store{s, m} }

type store struct {
	Store
	m *Metrics
}

// timed starts timing an operation. The caller calls the returned function with the operation's error.
func (s store) timed(operation string) func(error) {
	start := s.m.clock.Now()
	return func(err error) {
		s.m.storeTime.WithLabelValues(operation).Observe(s.m.clock.Now().Sub(start).Seconds())
		if err != nil && !errors.Is(err, invites.ErrNotFound) && !errors.Is(err, invites.ErrFenced) && !errors.Is(err, context.Canceled) {
			s.m.storeErrors.WithLabelValues(operation).Inc()
		}
	}
}

// Receive implements Store.
func (s store) Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) (fresh []invites.Received, err error) {
	done := s.timed("receive")
	defer func() { done(err) }()
	return s.Store.Receive(ctx, events, members...)
}

// Received implements Store.
func (s store) Received(ctx context.Context, event id.EventID) (r invites.Received, err error) {
	done := s.timed("received")
	defer func() { done(err) }()
	return s.Store.Received(ctx, event)
}

// Handled implements Store.
func (s store) Handled(ctx context.Context, event id.EventID) (err error) {
	done := s.timed("handled")
	defer func() { done(err) }()
	return s.Store.Handled(ctx, event)
}

// Quarantine implements Store.
func (s store) Quarantine(ctx context.Context, bad []invites.Undecodable) (err error) {
	done := s.timed("quarantine")
	defer func() { done(err) }()
	if err := s.Store.Quarantine(ctx, bad); err != nil {
		return err
	}
	s.m.quarantined.Add(float64(len(bad)))
	return nil
}

// Record implements Store.
func (s store) Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, spend ...invites.Charge) (stored []invites.Change, err error) {
	done := s.timed("record")
	defer func() { done(err) }()
	if stored, err = s.Store.Record(ctx, rows, audit, spend...); err != nil {
		return nil, err
	}
	s.decided(audit)
	return stored, nil
}

// Claim implements Store.
func (s store) Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) (claimed []invites.Change, err error) {
	done := s.timed("claim")
	defer func() { done(err) }()
	return s.Store.Claim(ctx, rows, now, lease)
}

// Settle implements Store.
func (s store) Settle(ctx context.Context, settlements ...invites.Settlement) (err error) {
	done := s.timed("settle")
	defer func() { done(err) }()
	if err := s.Store.Settle(ctx, settlements...); err != nil {
		return err
	}
	for _, one := range settlements {
		outcome := string(one.Status)
		if one.Status == invites.StatusOpen {
			if one.Code == invites.CodeTurn {
				continue // the row waits for its turn: no attempt was made
			}
			outcome = "retry"
			if one.Code == invites.CodeLimited {
				s.m.rateWait.Observe(max(one.DueAt.Sub(one.At), 0).Seconds())
			}
		}
		s.m.deliveries.WithLabelValues(outcome, s.m.codes.label(one.Code)).Inc()
		s.decided(one.Audit)
	}
	return nil
}

// decided counts the decisions among audit rows.
func (s store) decided(audit []invites.Audit) {
	for _, a := range audit {
		if a.Kind == invites.AuditDecision {
			s.m.decisions.WithLabelValues(string(a.Action), a.Verdict, s.m.codes.label(a.Code)).Inc()
		}
	}
}
