package store

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	spaceWaitColumns = `id, space, room_id, target, actor, command, command_room, reason, as_bot, created_at, expires_at`

	insertSpaceWait = `INSERT INTO space_wait (space, room_id, target, actor, command, command_room, reason, as_bot, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (space, target, room_id) DO NOTHING`
	selectSpaceWaits   = `SELECT ` + spaceWaitColumns + ` FROM space_wait WHERE id > $1 ORDER BY id LIMIT $2`
	selectSpaceWaitsOf = `SELECT ` + spaceWaitColumns + ` FROM space_wait WHERE space = $1 AND target = $2 ORDER BY id`
	deleteSpaceWait    = `DELETE FROM space_wait WHERE id = $1`
)

// spaceWaitFields are the fields of spaceWaitColumns.
func spaceWaitFields(w *invites.SpaceWait) []any {
	return []any{&w.ID, &w.Space, &w.Room, &w.Target, &w.Actor, &w.Command, &w.CommandRoom, &w.Reason, &w.AsBot, &w.CreatedAt, &w.ExpiresAt}
}

// AddSpaceWaits adds invitations that wait for their target to join a space. One that waits already stays as it is.
func (s SpaceWaits) AddSpaceWaits(ctx context.Context, waits []invites.SpaceWait) error {
	return changeEach(ctx, s.db, waits, insertSpaceWait, func(w invites.SpaceWait) []any { return spaceWaitFields(&w)[1:] })
}

// SpaceWaitsAfter returns up to limit waiting invitations with larger ids, by id.
func (s SpaceWaits) SpaceWaitsAfter(ctx context.Context, after int64, limit int) ([]invites.SpaceWait, error) {
	return all(ctx, s.db, spaceWaitFields, selectSpaceWaits, after, limit)
}

// SpaceWaitsOf returns the waiting invitations of a user in a space.
func (s SpaceWaits) SpaceWaitsOf(ctx context.Context, space id.RoomID, target id.UserID) ([]invites.SpaceWait, error) {
	return all(ctx, s.db, spaceWaitFields, selectSpaceWaitsOf, space, target)
}

// DropSpaceWaits ends waiting invitations.
func (s SpaceWaits) DropSpaceWaits(ctx context.Context, waits ...int64) error {
	return changeEach(ctx, s.db, waits, deleteSpaceWait, func(one int64) []any { return []any{one} })
}
