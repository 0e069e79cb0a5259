package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	upgradeColumns = `id, old_room, new_room, actor, performer, command, version, step, rest, notes, due_at, created_at`

	// insertUpgrade returns the upgrade if it exists: the update without effect makes RETURNING return it.
	insertUpgrade = `INSERT INTO upgrade (part, old_room, new_room, actor, performer, command, version, step, rest, notes, due_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (part) DO UPDATE SET part = excluded.part RETURNING ` + upgradeColumns
	updateUpgrade = `UPDATE upgrade SET part = $2, new_room = $3, actor = $4, step = $5, rest = $6, notes = $7, due_at = $8 WHERE id = $1`
	deleteUpgrade = `DELETE FROM upgrade WHERE part = $1 AND id <> $2`
	selectUpgrade = `SELECT ` + upgradeColumns + ` FROM upgrade WHERE id = $1`
	selectWanted  = `SELECT ` + upgradeColumns + ` FROM upgrade WHERE part = $1`
	selectOrdered = `SELECT ` + upgradeColumns + ` FROM upgrade WHERE command = $1 AND command <> ''`
	deleteFailed  = `DELETE FROM upgrade WHERE id = $1`
	selectMoving  = `SELECT ` + upgradeColumns + ` FROM upgrade WHERE due_at <> 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2`

	// A link that has the new room already keeps the old row, which is dropped.
	updateLinkRooms = `UPDATE link_room SET part = $3, room_id = $4 WHERE part = $1 AND room_id = $2
		AND link NOT IN (SELECT link FROM link_room WHERE part = $3)`
	deleteLinkRooms = `DELETE FROM link_room WHERE part = $1 AND room_id = $2`
)

func upgradeFields(u *invites.Upgrade) []any {
	return []any{&u.ID, &u.Old, &u.New, &u.Actor, &u.Performer, &u.Command, &u.Version, &u.Step, &u.Rest, &u.Notes, &u.DueAt, &u.CreatedAt}
}

// upgradePart is the unique key of an upgrade, as the index has it.
func upgradePart(from, to id.RoomID) int64 { return digest("upgrade", string(from), string(to)) }

// BeginUpgrade adds an upgrade, unless there is one of the same rooms, and returns it as stored.
func (s Moves) BeginUpgrade(ctx context.Context, u invites.Upgrade) (stored invites.Upgrade, err error) {
	err = s.write.commit(ctx, plain, func(t *tx) error {
		return t.query(into(&stored, upgradeFields), insertUpgrade, append([]any{upgradePart(u.Old, u.New)}, upgradeFields(&u)[1:]...)...)
	})
	return stored, err
}

// SaveUpgrade keeps how far an upgrade is carried over. It replaces another one of the same rooms.
func (s Moves) SaveUpgrade(ctx context.Context, u invites.Upgrade) error {
	part := upgradePart(u.Old, u.New)
	return s.write.commit(ctx, plain, func(t *tx) error {
		if _, err := t.exec(deleteUpgrade, part, u.ID); err != nil {
			return err
		}
		_, err := t.exec(updateUpgrade, u.ID, part, u.New, u.Actor, u.Step, u.Rest, u.Notes, u.DueAt)
		return err
	})
}

// Upgrade returns an upgrade, or ErrNotFound.
func (s Moves) Upgrade(ctx context.Context, upgrade int64) (invites.Upgrade, error) {
	return one(ctx, s.db, upgradeFields, selectUpgrade, upgrade)
}

// UpgradeOf returns the upgrade of a room to another one, or ErrNotFound. An empty one stands for the room that the homeserver was asked for.
func (s Moves) UpgradeOf(ctx context.Context, from, to id.RoomID) (invites.Upgrade, error) {
	return one(ctx, s.db, upgradeFields, selectWanted, upgradePart(from, to))
}

// UpgradeBy returns the upgrade that a command asked for, or ErrNotFound.
func (s Moves) UpgradeBy(ctx context.Context, command id.EventID) (invites.Upgrade, error) {
	return one(ctx, s.db, upgradeFields, selectOrdered, command)
}

// DropUpgrade forgets an upgrade that led to nothing.
func (s Moves) DropUpgrade(ctx context.Context, upgrade int64) error {
	_, err := s.change(ctx, deleteFailed, upgrade)
	return err
}

// UpgradesDue returns upgrades with work left to do, the longest due first.
func (s Moves) UpgradesDue(ctx context.Context, now time.Time, limit int) ([]invites.Upgrade, error) {
	return all(ctx, s.db, upgradeFields, selectMoving, now, limit)
}

// MoveLinks has the links into a room lead into another one, and returns how many they are.
func (s Moves) MoveLinks(ctx context.Context, from, to id.RoomID) (n int64, err error) {
	err = s.write.commit(ctx, plain, func(t *tx) error {
		moved, err := t.exec(updateLinkRooms, digest(string(from)), from, digest(string(to)), to)
		if err != nil {
			return err
		}
		n = moved
		_, err = t.exec(deleteLinkRooms, digest(string(from)), from)
		return err
	})
	return n, err
}
