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

var _ invites.Guards = Guards{}

// Guarded implements invites.Guards.
func (s Guards) Guarded(ctx context.Context) ([]id.RoomID, error) {
	return all(ctx, &s.reads, func(row scanner) (r id.RoomID, err error) {
		err = row.Scan(out(&r))
		return r, err
	}, selectGuarded)
}

// Watch implements invites.Guards.
func (s Guards) Watch(ctx context.Context, r id.RoomID) (invites.Watch, error) {
	return one(ctx, &s.reads, func(row scanner) (w invites.Watch, err error) {
		var rounds string
		if err = row.Scan(out(&w.Room), out(&w.Policy), out(&rounds), &w.Stopped, names{&w.Told}); err == nil {
			err = json.Unmarshal([]byte(rounds), &w.Rounds)
		}
		return w, err
	}, selectWatch, in(r))
}

// SetWatch implements invites.Guards.
func (s Guards) SetWatch(ctx context.Context, w invites.Watch) error {
	rounds, err := json.Marshal(w.Rounds)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, upsertWatch, in(w.Room), in(w.Policy), in(string(rounds)), w.Stopped, in(list(w.Told)))
	return err
}

// EndWatch implements invites.Guards.
func (s Guards) EndWatch(ctx context.Context, r id.RoomID) error {
	_, err := s.change(ctx, deleteWatch, in(r))
	return err
}
