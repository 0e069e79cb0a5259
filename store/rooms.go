package store

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	selectCreate = `SELECT raw FROM create_event WHERE room_id = $1`
	insertCreate = `INSERT INTO create_event (room_id, raw) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	selectSpaces = `SELECT child, space, governs FROM space_child ORDER BY child, space`
	deleteSpace  = `DELETE FROM space_child WHERE child = $1 AND (space = $2 OR $2 = '')`
	insertSpace  = `INSERT INTO space_child (child, space, governs) VALUES ($1, $2, $3) ON CONFLICT (child, space) DO UPDATE SET governs = excluded.governs`
)

// CreateEvent returns the m.room.create event of a room as SaveCreateEvent kept it, or ErrNotFound. It never changes.
func (s Rooms) CreateEvent(ctx context.Context, room id.RoomID) (json.RawMessage, error) {
	return one(ctx, s.db, value[json.RawMessage], selectCreate, room)
}

// SaveCreateEvent keeps the m.room.create event of a room. The first one stays.
func (s Rooms) SaveCreateEvent(ctx context.Context, room id.RoomID, raw json.RawMessage) error {
	_, err := s.change(ctx, insertCreate, room, raw)
	return err
}

func spaceFields(c *invites.SpaceChild) []any { return []any{&c.Child, &c.Space, &c.Governs} }

// SpaceChildren returns the links of rooms to the spaces that they name, by child.
func (s Rooms) SpaceChildren(ctx context.Context) ([]invites.SpaceChild, error) {
	return all(ctx, s.db, spaceFields, selectSpaces)
}

// SaveSpaceChildren remembers that rooms name spaces. The user of such a link asks whether it still holds.
func (s Rooms) SaveSpaceChildren(ctx context.Context, children []invites.SpaceChild) error {
	if len(children) == 0 {
		return nil
	}
	return changeEach(ctx, s.db, children, insertSpace, func(c invites.SpaceChild) []any { return spaceFields(&c) })
}

// DeleteSpaceChild forgets that a room names a space, or any space for an empty id.
func (s Rooms) DeleteSpaceChild(ctx context.Context, child, space id.RoomID) error {
	_, err := s.change(ctx, deleteSpace, child, space)
	return err
}
