package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	insertExpiry    = `INSERT INTO expiry (room_id, expire_after, remind_before, checked_at) VALUES ($1, 0, 0, 0) ON CONFLICT DO NOTHING`
	selectUnchecked = `SELECT e.room_id FROM expiry e WHERE e.checked_at < $1
			AND EXISTS (SELECT 1 FROM ledger l WHERE l.room_id = e.room_id AND l.fate = 'pending')
		ORDER BY e.checked_at LIMIT $2`
	updateExpiry   = `UPDATE expiry SET expire_after = $2, remind_before = $3, checked_at = $4 WHERE room_id = $1`
	updateChecked  = `UPDATE expiry SET checked_at = $2 WHERE room_id = $1`
	forgetExpiries = `UPDATE expiry SET checked_at = 0 WHERE checked_at <> 0`

	// SQLite reads a CROSS JOIN from left to right, and few rooms let invitations expire.
	ofRooms       = `id, event_id, l.room_id, target, sender, inviter, way, command, at, fate, ended_at, ended_by, ending, reminded, turned`
	selectOverdue = `SELECT ` + ofRooms + ` FROM expiry e CROSS JOIN ledger l
		WHERE e.expire_after > 0 AND l.room_id = e.room_id AND l.fate = 'pending' AND l.at <= $1 - e.expire_after AND l.tried_at < $2 LIMIT $3`
	selectToRemind = `SELECT ` + ofRooms + ` FROM expiry e CROSS JOIN ledger l
		WHERE e.expire_after > 0 AND e.remind_before > 0 AND l.room_id = e.room_id AND l.fate = 'pending' AND NOT l.reminded
			AND l.at <= $1 - e.expire_after + e.remind_before LIMIT $2`
	updateReminded = `UPDATE ledger SET reminded = true WHERE id = $1`
	updateTurned   = `UPDATE ledger SET turned = $2 WHERE id = $1`
	selectTold     = `SELECT told FROM expiry WHERE room_id = $1`
	updateRoomTold = `UPDATE expiry SET told = $2 WHERE room_id = $1`
	updateTried    = `UPDATE ledger SET tried_at = $2 WHERE id = $1`
)

// Unchecked returns up to limit rooms with pending entries and a rule last set before a time, or never.
func (s Expiries) Unchecked(ctx context.Context, before time.Time, limit int) ([]id.RoomID, error) {
	return all(ctx, s.db, value[id.RoomID], selectUnchecked, before, limit)
}

// SetExpiry keeps a room's rule, as set at a time; nil: the one there.
func (s Expiries) SetExpiry(ctx context.Context, r id.RoomID, rule *invites.ExpiryRule, at time.Time) error {
	if rule == nil {
		_, err := s.change(ctx, updateChecked, r, at)
		return err
	}
	_, err := s.change(ctx, updateExpiry, r, rule.After.Milliseconds(), rule.Remind.Milliseconds(), at)
	return err
}

// ForgetExpiries makes all rules unchecked; they stay in force until they are set anew.
func (s Expiries) ForgetExpiries(ctx context.Context) error {
	_, err := s.change(ctx, forgetExpiries)
	return err
}

// Overdue returns up to limit pending entries due to expire by now, without the entries tried after a time.
func (s Expiries) Overdue(ctx context.Context, now, tried time.Time, limit int) ([]invites.Invitation, error) {
	return all(ctx, s.db, entryFields, selectOverdue, now, tried, limit)
}

// ToRemind returns up to limit open invitations with a reminder to the inviter due by now and not yet sent.
func (s Expiries) ToRemind(ctx context.Context, now time.Time, limit int) ([]invites.Invitation, error) {
	return all(ctx, s.db, entryFields, selectToRemind, now, limit)
}

// Reminded marks entries as reminded of.
func (s Expiries) Reminded(ctx context.Context, entries ...int64) error {
	return changeEach(ctx, s.db, entries, updateReminded, func(entry int64) []any { return []any{entry} })
}

// SetTurned notes the last finding about open invitations that was acted on or told.
func (s Expiries) SetTurned(ctx context.Context, code string, entries ...int64) error {
	return changeEach(ctx, s.db, entries, updateTurned, func(entry int64) []any { return []any{entry, code} })
}

// Told returns what a room was told last about something that can't be read.
func (s Expiries) Told(ctx context.Context, r id.RoomID) (string, error) {
	told, err := one(ctx, s.db, value[string], selectTold, r)
	return told, invites.UnlessNone(err)
}

// SetTold keeps what a room was told. Only rooms that had an invitation have a place for it.
func (s Expiries) SetTold(ctx context.Context, r id.RoomID, what string) error {
	_, err := s.change(ctx, updateRoomTold, r, what)
	return err
}

// Tried marks entries as tried at a time.
func (s Expiries) Tried(ctx context.Context, at time.Time, entries ...int64) error {
	return changeEach(ctx, s.db, entries, updateTried, func(entry int64) []any { return []any{entry, at} })
}
