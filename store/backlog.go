package store

import (
	"context"
	"time"

	"usher/invites"
)

// Backlog is the waiting work in the database.
type Backlog struct {
	Open       int       // invitations not settled
	Due        time.Time // the earliest due time; zero without an open invitation
	Events     int       // events of the inbox not handled
	Oldest     time.Time // the arrival of the first of them; zero without one
	Quarantine int       // undecodable events kept
}

const selectBacklog = `SELECT
	(SELECT COUNT(*) FROM invitation WHERE status = 'open'), (SELECT COALESCE(MIN(due_at), 0) FROM invitation WHERE status = 'open'),
	(SELECT COUNT(*) FROM inbox WHERE NOT handled), (SELECT COALESCE(MIN(received_at), 0) FROM inbox WHERE NOT handled),
	(SELECT COUNT(*) FROM quarantine)`

const selectNextOpen = `SELECT ` + changeColumns + ` FROM invitation WHERE status = 'open' ORDER BY due_at, id LIMIT $1`

// NextOpen returns up to limit rows that are not settled, the next due first.
func (s Changes) NextOpen(ctx context.Context, limit int) ([]invites.Change, error) {
	return all(ctx, s.db, changeFields, selectNextOpen, limit)
}

// Backlog counts the waiting work. Partial indexes serve it, so its cost grows with the waiting rows only.
func (s Changes) Backlog(ctx context.Context) (Backlog, error) {
	return one(ctx, s.db, func(b *Backlog) []any {
		return []any{&b.Open, &b.Due, &b.Events, &b.Oldest, &b.Quarantine}
	}, selectBacklog)
}
