package store

import (
	"context"
	"errors"
	"time"

	"usher/invites"
)

const (
	selectLastAudit    = `SELECT at FROM audit ORDER BY id DESC LIMIT 1`
	selectLastReceived = `SELECT received_at FROM inbox ORDER BY seq DESC LIMIT 1`
	updateDue          = `UPDATE invitation SET due_at = due_at - $2 WHERE status = 'open' AND due_at > $1`
)

// LastWritten returns the latest time at which this program is known to have written, by its clock of then.
func (s Changes) LastWritten(ctx context.Context) (last time.Time, err error) {
	for _, query := range []string{selectLastAudit, selectLastReceived} {
		at, err := one(ctx, s.db, value[time.Time], query)
		if err != nil && !errors.Is(err, invites.ErrNotFound) {
			return time.Time{}, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

// Sooner makes the open rows due after now due earlier by a time, for a clock set back by the same time.
func (s Changes) Sooner(ctx context.Context, now time.Time, by time.Duration) (rows int64, err error) {
	return s.change(ctx, updateDue, now, by.Milliseconds())
}
