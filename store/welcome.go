package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	welcomeColumns = `id, room_id, target, inviter, request, joined_at, batch, begun_at`

	insertWelcome = `INSERT INTO welcome (room_id, target, inviter, request, joined_at, batch, begun_at, told_at) VALUES ($1, $2, $3, $4, $5, 0, 0, 0)`
	selectToGreet = `SELECT DISTINCT room_id FROM welcome WHERE told_at = 0 LIMIT $1`
	// Messages that were begun come first.
	selectWelcomes = `SELECT ` + welcomeColumns + ` FROM welcome WHERE room_id = $1 AND told_at = 0 ORDER BY batch = 0, batch, id LIMIT $2`
	selectWelcomed = `SELECT count(*), coalesce(max(told_at), 0) FROM (SELECT batch, min(told_at) AS told_at FROM welcome WHERE room_id = $1 AND told_at > $2 GROUP BY batch) AS messages`
	selectGiven    = `SELECT id FROM welcome WHERE target = $1 AND giver = $2 AND giver <> '' LIMIT 1`
	updateBegun    = `UPDATE welcome SET batch = $2, begun_at = $3, giver = $4 WHERE id = $1`
	updateGreeted  = `UPDATE welcome SET told_at = $2 WHERE id = $1`
	deleteWelcome  = `DELETE FROM welcome WHERE id = $1`
	deleteWelcomes = `DELETE FROM welcome WHERE id IN (SELECT id FROM welcome WHERE joined_at < $1 LIMIT $2)`
)

// welcomeFields are the fields of welcomeColumns.
func welcomeFields(w *invites.Welcome) []any {
	return []any{&w.ID, &w.Room, &w.Target, &w.Inviter, &w.Request, &w.JoinedAt, &w.Batch, &w.BegunAt}
}

// toWelcome notes that a user who accepted an invitation is to be welcomed, if the invitation came through Usher.
func toWelcome(t *tx, m *invites.MemberEvent, open *invites.Invitation) error {
	if open.Way != invites.WayBot && open.Way != invites.WayActor {
		return nil
	}
	_, err := t.exec(insertWelcome, open.Room, open.Target, open.Inviter, string(open.Command), earlier(m.SentAt, m.SeenAt))
	return err
}

// RoomsToGreet returns up to limit rooms with users to be welcomed.
func (s Welcomes) RoomsToGreet(ctx context.Context, limit int) ([]id.RoomID, error) {
	return all(ctx, s.db, value[id.RoomID], selectToGreet, limit)
}

// ToGreet returns up to limit users to be welcomed in a room: first those of messages that were begun, then the others, in the order of
// their coming.
func (s Welcomes) ToGreet(ctx context.Context, r id.RoomID, limit int) ([]invites.Welcome, error) {
	return all(ctx, s.db, welcomeFields, selectWelcomes, r, limit)
}

// Welcomed returns how many messages of welcome a room has had since a time.
func (s Welcomes) Welcomed(ctx context.Context, r id.RoomID, since time.Time) (invites.Welcomed, error) {
	fields := func(w *invites.Welcomed) []any { return []any{&w.Messages, &w.Last} }
	return one(ctx, s.db, fields, selectWelcomed, r, since)
}

// BeginWelcome makes a message of some users, or notes that it is tried again. giver is as in GivenWelcome.
func (s Welcomes) BeginWelcome(ctx context.Context, batch int64, giver id.RoomID, at time.Time, users ...int64) error {
	return changeEach(ctx, s.db, users, updateBegun, func(one int64) []any { return []any{one, batch, at, giver} })
}

// GivenWelcome reports whether a user has a message, begun or sent, with the words of a room's policy.
func (s Welcomes) GivenWelcome(ctx context.Context, target id.UserID, giver id.RoomID) (bool, error) {
	rows, err := all(ctx, s.db, value[int64], selectGiven, target, giver)
	return len(rows) > 0, err
}

// EndWelcome notes that a message was sent, or never can be.
func (s Welcomes) EndWelcome(ctx context.Context, at time.Time, users ...int64) error {
	return changeEach(ctx, s.db, users, updateGreeted, func(one int64) []any { return []any{one, at} })
}

// DropWelcomes forgets users who get no welcome.
func (s Welcomes) DropWelcomes(ctx context.Context, users ...int64) error {
	return changeEach(ctx, s.db, users, deleteWelcome, func(one int64) []any { return []any{one} })
}

// CleanWelcomes forgets users who came before a time, welcomed or not.
func (s Welcomes) CleanWelcomes(ctx context.Context, before time.Time) error {
	return s.deleteAll(ctx, deleteWelcomes, before)
}
