package store

import (
	"context"
	"time"
)

// Backlog is what waits in the database.
type Backlog struct {
	Open       int       // invitations not settled
	Due        time.Time // when the one due first is; zero without one
	Events     int       // events of the inbox not handled
	Oldest     time.Time // when the first of them arrived; zero without one
	Quarantine int       // undecodable events kept
}

const selectBacklog = `SELECT
	(SELECT COUNT(*) FROM invitation WHERE status = 'open'), (SELECT COALESCE(MIN(due_at), 0) FROM invitation WHERE status = 'open'),
	(SELECT COUNT(*) FROM inbox WHERE NOT handled), (SELECT COALESCE(MIN(received_at), 0) FROM inbox WHERE NOT handled),
	(SELECT COUNT(*) FROM quarantine)`

// Backlog counts what waits. Partial indexes serve it, so that it costs what waits, not what is kept.
func (s Changes) Backlog(ctx context.Context) (Backlog, error) {
	return one(ctx, s.db, func(b *Backlog) []any {
		return []any{&b.Open, &b.Due, &b.Events, &b.Oldest, &b.Quarantine}
	}, selectBacklog)
}
