package store

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	selectGuarded = `SELECT room_id FROM guard`
	selectWatch   = `SELECT room_id, policy, rounds, stopped, told FROM guard WHERE room_id = $1`
	upsertWatch   = `INSERT INTO guard (room_id, policy, rounds, stopped, told) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (room_id) DO UPDATE SET policy = excluded.policy, rounds = excluded.rounds, stopped = excluded.stopped, told = excluded.told`
	deleteWatch = `DELETE FROM guard WHERE room_id = $1`
)

// Guarded lists the guarded rooms.
func (s Guards) Guarded(ctx context.Context) ([]id.RoomID, error) {
	return all(ctx, s.db, value[id.RoomID], selectGuarded)
}

// Watch returns the memory of the guard about a room, or ErrNotFound where the room is not guarded.
func (s Guards) Watch(ctx context.Context, r id.RoomID) (invites.Watch, error) {
	var rounds string
	w, err := one(ctx, s.db, func(w *invites.Watch) []any {
		return []any{&w.Room, &w.Policy, &rounds, &w.Stopped, &w.Told}
	}, selectWatch, r)
	if err == nil {
		err = json.Unmarshal([]byte(rounds), &w.Rounds)
	}
	return w, err
}

// SetWatch keeps the memory of the guard about a room.
func (s Guards) SetWatch(ctx context.Context, w invites.Watch) error {
	rounds, err := json.Marshal(w.Rounds)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, upsertWatch, w.Room, w.Policy, string(rounds), w.Stopped, w.Told)
	return err
}

// EndWatch forgets a room.
func (s Guards) EndWatch(ctx context.Context, r id.RoomID) error {
	_, err := s.change(ctx, deleteWatch, r)
	return err
}
