package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

const (
	ofRequest     = ` FROM invitation WHERE cmd = $1 AND command = $2`
	selectCounts  = `SELECT status, code, count(*), max(due_at), min(id)` + ofRequest + ` AND action = $3 GROUP BY status, code ORDER BY min(id)`
	selectAfter   = `SELECT ` + changeColumns + ofRequest + ` AND id > $3 ORDER BY id LIMIT $4`
	selectTargets = `SELECT target` + ofRequest + ` AND action = $3`
	updatePaused  = `UPDATE invitation SET status = CASE WHEN leased_until <= $3 THEN 'waiting' ELSE status END, code = 'bulk.paused', detail = '',
		due_at = CASE WHEN leased_until <= $3 THEN 0 ELSE due_at END WHERE cmd = $1 AND command = $2 AND status = 'open' AND action <> 'join'`
	updateResumed = `UPDATE invitation SET status = 'open', code = '', due_at = $3
		WHERE cmd = $1 AND command = $2 AND status IN ('waiting', 'open') AND code = 'bulk.paused' RETURNING id`
)

// CountRows counts the rows of a request for one action by status and code.
func (s Changes) CountRows(ctx context.Context, request string, action room.ActionType) ([]invites.RowCount, error) {
	fields := func(c *invites.RowCount) []any { return []any{&c.Status, &c.Code, &c.N, &c.Due, &c.First.ID} }
	counts, err := all(ctx, s.db, fields, selectCounts, digest(request), request, action)
	for i := range counts {
		if err == nil {
			counts[i].First, err = one(ctx, s.db, changeFields, selectChange, counts[i].First.ID)
		}
	}
	return counts, err
}

// ChangesAfter returns up to limit rows of a request with larger ids, by ID.
func (s Changes) ChangesAfter(ctx context.Context, request string, after int64, limit int) ([]invites.Change, error) {
	return all(ctx, s.db, changeFields, selectAfter, digest(request), request, after, limit)
}

// ChangeOf returns one row of a request, or ErrNotFound.
func (s Changes) ChangeOf(ctx context.Context, request string, action room.ActionType, r id.RoomID, target id.UserID) (invites.Change, error) {
	k := keyOf(&invites.Change{Request: request, Action: action, Room: r, Target: target})
	return one(ctx, s.db, changeFields, selectChangeOf, k.cmd, k.part)
}

// TargetsOf returns the users for whom a request has a row for an action, in whatever room.
func (s Changes) TargetsOf(ctx context.Context, request string, action room.ActionType) ([]id.UserID, error) {
	return all(ctx, s.db, value[id.UserID], selectTargets, digest(request), request, action)
}

// PauseRows has the open rows of a request wait. Those under an attempt get the code of the others only: the attempt settles them, and where
// its process is killed, the next attempt finds the code. Automatic joins go on: their invitations are sent, and are all
// that the request counts.
func (s Changes) PauseRows(ctx context.Context, request string, now time.Time) error {
	_, err := s.change(ctx, updatePaused, digest(request), request, now)
	return err
}

// ResumeRows opens the paused rows of a request, due at a time, and returns them.
func (s Changes) ResumeRows(ctx context.Context, request string, due time.Time) (rows []int64, err error) {
	err = s.write.commit(ctx, single, func(t *tx) error {
		rows = nil
		return t.query(appendTo(&rows, value[int64]), updateResumed, digest(request), request, due)
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}
