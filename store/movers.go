package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	moverColumns = `id, command, old_room, new_room, actor, command_room, remind, created_at, due_at, reminded_at`

	insertMover = `INSERT INTO mover (command, old_room, new_room, actor, command_room, remind, created_at, due_at, reminded_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (command) DO NOTHING`
	updateMover     = `UPDATE mover SET due_at = $2, reminded_at = $3 WHERE id = $1`
	deleteMover     = `DELETE FROM mover WHERE id = $1`
	deleteMovers    = `DELETE FROM mover WHERE id IN (SELECT id FROM mover WHERE created_at < $1 AND due_at = 0 LIMIT $2)`
	selectMovers    = `SELECT ` + moverColumns + ` FROM mover WHERE new_room = $1 ORDER BY id DESC LIMIT $2`
	selectMoversDue = `SELECT ` + moverColumns + ` FROM mover WHERE due_at <> 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2`

	// People with an invitation, with what became of it: the last one counts, whoever made it.
	movedPeople = ` FROM (SELECT id, target, status, code, settled_at, CASE WHEN status = 'done' THEN coalesce((SELECT fate FROM ledger
			WHERE ledger.room_id = invitation.room_id AND ledger.target = invitation.target ORDER BY ledger.id DESC LIMIT 1), '') ELSE '' END AS fate
		FROM invitation WHERE cmd = $1 AND command = $2 AND action = 'invite') AS moved`
	selectMoved   = `SELECT status, code, fate, count(*), max(settled_at)` + movedPeople + ` GROUP BY status, code, fate ORDER BY min(id)`
	selectNotCome = `SELECT target` + movedPeople + ` WHERE fate = 'pending' ORDER BY id`
)

// moverFields are the fields of moverColumns.
func moverFields(m *invites.Move) []any {
	return []any{&m.ID, &m.Command, &m.Old, &m.New, &m.Actor, &m.CommandRoom, &m.Remind, &m.CreatedAt, &m.DueAt, &m.RemindedAt}
}

// AddMove adds the move of a command, unless it has one.
func (s Moves) AddMove(ctx context.Context, m invites.Move) error {
	_, err := s.change(ctx, insertMover, moverFields(&m)[1:]...)
	return err
}

// SaveMove keeps when a move is looked at next, and whether people were reminded.
func (s Moves) SaveMove(ctx context.Context, m invites.Move) error {
	_, err := s.change(ctx, updateMover, m.ID, m.DueAt, m.RemindedAt)
	return err
}

// DropMove forgets a move.
func (s Moves) DropMove(ctx context.Context, move int64) error {
	_, err := s.change(ctx, deleteMover, move)
	return err
}

// MovesInto returns up to limit moves into a room, the newest first.
func (s Moves) MovesInto(ctx context.Context, r id.RoomID, limit int) ([]invites.Move, error) {
	return all(ctx, s.db, moverFields, selectMovers, r, limit)
}

// MovesDue returns up to limit moves to be looked at, the longest due first.
func (s Moves) MovesDue(ctx context.Context, now time.Time, limit int) ([]invites.Move, error) {
	return all(ctx, s.db, moverFields, selectMoversDue, now, limit)
}

// CountMoved counts the people of a move by what became of their invitation.
func (s Moves) CountMoved(ctx context.Context, command id.EventID) ([]invites.MoveCount, error) {
	fields := func(c *invites.MoveCount) []any { return []any{&c.Status, &c.Code, &c.Fate, &c.N, &c.Last} }
	return all(ctx, s.db, fields, selectMoved, digest(string(command)), command)
}

// NotCome returns the people of a move whose invitation is open, in the order of the invitations.
func (s Moves) NotCome(ctx context.Context, command id.EventID) ([]id.UserID, error) {
	return all(ctx, s.db, value[id.UserID], selectNotCome, digest(string(command)), command)
}

// CleanMoves forgets moves from before a time with nothing left to do.
func (s Moves) CleanMoves(ctx context.Context, before time.Time) error {
	return s.deleteAll(ctx, deleteMovers, before)
}
