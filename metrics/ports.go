package metrics

import (
	"context"
	"errors"
	"time"

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

// Timed starts timing an operation of the store. The caller calls the returned function with the operation's error.
func (m *Metrics) Timed(operation string) func(error) {
	start := m.clock.Now()
	return func(err error) {
		m.storeTime.WithLabelValues(operation).Observe(m.clock.Now().Sub(start).Seconds())
		if err != nil && !errors.Is(err, invites.ErrNotFound) && !errors.Is(err, invites.ErrFenced) && !errors.Is(err, context.Canceled) {
			m.storeErrors.WithLabelValues(operation).Inc()
		}
	}
}

// Quarantined counts events put into quarantine.
func (m *Metrics) Quarantined(events int) { m.quarantined.Add(float64(events)) }

// Settled counts committed outcomes.
func (m *Metrics) Settled(settlements []invites.Settlement) {
	for _, one := range settlements {
		outcome := string(one.Status)
		if one.Status == invites.StatusOpen {
			if one.Code == invites.CodeTurn {
				continue // the row waits for its turn: no attempt was made
			}
			outcome = "retry"
			if one.Code == invites.CodeLimited {
				m.rateWait.Observe(max(one.DueAt.Sub(one.At), 0).Seconds())
			}
		}
		m.deliveries.WithLabelValues(outcome, m.codes.label(one.Code)).Inc()
		m.Decided(one.Audit)
	}
}

// Decided counts the decisions among committed audit rows.
func (m *Metrics) Decided(audit []invites.Audit) {
	for _, a := range audit {
		if a.Kind == invites.AuditDecision {
			m.decisions.WithLabelValues(string(a.Action), a.Verdict, m.codes.label(a.Code)).Inc()
		}
	}
}
