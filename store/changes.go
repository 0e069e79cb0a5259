package store

import (
	"context"
	"math"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

const (
	givenColumns = `command, origin, event_id, command_room, action, room_id, via, target, actor, performer, reason, status, code, detail,
		attempt, due_at, leased_until, created_at, settled_at`
	changeColumns = `id, ` + givenColumns

	selectChanges  = `SELECT ` + changeColumns + ` FROM invitation WHERE cmd = $1 AND command = $2 ORDER BY id`
	selectChangeOf = `SELECT ` + changeColumns + ` FROM invitation WHERE cmd = $1 AND part = $2`
	selectInviting = `SELECT EXISTS (SELECT 1 FROM invitation WHERE cmd = $1 AND command = $2 AND status IN ('open', 'waiting') AND action <> 'join')`
	selectUnsentIn = `SELECT ` + changeColumns + ` FROM invitation WHERE action = 'invite' AND room_id = $1 AND status = 'open' AND origin NOT IN ('native', 'address') ORDER BY due_at, id LIMIT $2`
	selectDue      = `SELECT id FROM invitation
		WHERE status = 'open' AND due_at <= $1 AND leased_until <= $1 ORDER BY due_at, id LIMIT $2 OFFSET $3`
	selectNewest   = `SELECT id, action, actor, target, status, code, created_at FROM invitation WHERE id < $1 ORDER BY id DESC LIMIT 1000`
	updateReleased = `UPDATE invitation SET leased_until = $1, attempt = attempt + 1 WHERE status = 'open' AND leased_until > $1 RETURNING id`
	updateClaimed  = `UPDATE invitation SET attempt = attempt + 1, leased_until = $3
		WHERE id = $1 AND status = 'open' AND leased_until <= $2 RETURNING ` + changeColumns
)

// insertInvitation skips existing rows, and returns the keys and ids of the inserted rows.
var insertInvitation = newMulti(
	`INSERT INTO invitation (cmd, part, `+givenColumns+`) VALUES `,
	` ON CONFLICT (cmd, part) DO NOTHING RETURNING cmd, part, id`,
	make([]string, 21)...)

// updateSettled settles rows still leased by the given attempt.
var updateSettled = newMulti(
	`UPDATE invitation SET status = column3, code = column4, detail = column5, due_at = column6, settled_at = column7,
		leased_until = 0 FROM (VALUES `,
	`) AS given WHERE id = column1 AND attempt = column2 AND status = 'open' AND leased_until <> 0`,
	"BIGINT", "INTEGER", "TEXT", "TEXT", "TEXT", "BIGINT", "BIGINT")

// key is the unique key of a row, as the index has it.
type key struct{ cmd, part int64 }

func keyOf(i *invites.Change) key {
	return key{digest(i.Request), digest(string(i.Action), string(i.Room), string(i.Target))}
}

// Record adds rows, audit and charges in one commit. Existing rows (same request, action, room, target) are left as they
// are. It returns the rows as stored, in the order given, or ErrSpent where the quotas have changed since they were read.
func (s Changes) Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) (stored []invites.Change, err error) {
	if len(rows)+len(audit) == 0 {
		return nil, nil
	}
	err = s.write.commit(ctx, audited, func(t *tx) error {
		if stored, err = record(t, rows); err != nil {
			return err
		}
		if err := charge(t, charges); err != nil {
			return err
		}
		appendAudit(t, audit)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// record inserts the missing rows and returns all rows as stored, in the order given.
func record(t *tx, rows []invites.Change) ([]invites.Change, error) {
	keys := make([]key, len(rows))
	ids := make(map[key]int64, len(rows)) // 0: the row exists
	given := make([][]any, 0, len(rows))
	for i := range rows {
		r, k := &rows[i], keyOf(&rows[i])
		keys[i] = k
		if _, twice := ids[k]; twice {
			continue
		}
		ids[k] = 0
		given = append(given, append([]any{k.cmd, k.part}, changeFields(r)[1:]...))
	}
	err := insertInvitation.query(t, given, func(r row) error {
		var k key
		var id int64
		err := r.Scan(&k.cmd, &k.part, &id)
		ids[k] = id
		return err
	})
	if err != nil {
		return nil, err
	}
	stored := make([]invites.Change, len(rows))
	first := make(map[key]int, len(rows))
	for i, k := range keys {
		at, twice := first[k]
		switch {
		case twice:
			stored[i] = stored[at]
			continue
		case ids[k] != 0:
			stored[i] = asStored(rows[i], ids[k])
		default:
			if err := t.query(into(&stored[i], changeFields), selectChangeOf, k.cmd, k.part); err != nil {
				return nil, err
			}
		}
		first[k] = i
	}
	return stored, nil
}

// asStored returns a row as it would be read, with times in milliseconds.
func asStored(i invites.Change, id int64) invites.Change {
	i.ID = id
	for _, at := range []*time.Time{&i.DueAt, &i.LeasedUntil, &i.CreatedAt, &i.SettledAt} {
		*at = fromMilliseconds(milliseconds(*at))
	}
	if len(i.Via) == 0 {
		i.Via = nil
	}
	return i
}

// changeFields are the fields of changeColumns.
func changeFields(c *invites.Change) []any {
	return []any{&c.ID, &c.Request, &c.Origin, &c.Command, &c.CommandRoom, &c.Action, &c.Room, &c.Via, &c.Target, &c.Actor, &c.Performer, &c.Reason,
		&c.Status, &c.Code, &c.Detail, &c.Attempt, &c.DueAt, &c.LeasedUntil, &c.CreatedAt, &c.SettledAt}
}

// ChangesOf returns the rows of one request, by ID.
func (s Changes) ChangesOf(ctx context.Context, request string) ([]invites.Change, error) {
	return all(ctx, s.db, changeFields, selectChanges, digest(request), request)
}

// selectUnsent selects by parts, which are the hashes of action, room and target.
var selectUnsent = newMulti(`SELECT `+changeColumns+` FROM invitation WHERE action = 'invite' AND origin NOT IN ('native', 'address') AND status IN ('open', 'waiting') AND part IN (VALUES `,
	`) ORDER BY id`, "bigint")

// UnsentOf returns the invitations of some users in a room that wait for Usher to send them, also those that need approval first, by ID for each user.
func (s Changes) UnsentOf(ctx context.Context, r id.RoomID, targets ...id.UserID) (unsent []invites.Change, err error) {
	for some := range slices.Chunk(targets, maxMulti) {
		parts := make([]any, len(some))
		for i, target := range some {
			parts[i] = digest(string(room.Invite), string(r), string(target))
		}
		query, args := selectUnsent.forRows(parts)
		found, err := all(ctx, s.db, changeFields, query, args...)
		if err != nil {
			return nil, err
		}
		for _, row := range found {
			if row.Room == r && slices.Contains(some, row.Target) { // hashes may be equal
				unsent = append(unsent, row)
			}
		}
	}
	return unsent, nil
}

// UnsentIn returns up to limit invitations of a room that wait to be sent, the next first, without those that need approval first. It reads
// all open rows of all rooms, of which there are few except in a flood.
func (s Changes) UnsentIn(ctx context.Context, r id.RoomID, limit int) ([]invites.Change, error) {
	return all(ctx, s.db, changeFields, selectUnsentIn, r, limit)
}

// Inviting reports whether a command has open rows or rows waiting for approval. Joins do not count.
func (s Changes) Inviting(ctx context.Context, command id.EventID) (bool, error) {
	return one(ctx, s.db, value[bool], selectInviting, digest(string(command)), command)
}

// EachInvitedSince calls found for each invitation asked for since a time, without those refused, the newest first.
func (s Changes) EachInvitedSince(ctx context.Context, since time.Time, found func(actor, target id.UserID, at time.Time)) error {
	fields := func(c *invites.Change) []any {
		return []any{&c.ID, &c.Action, &c.Actor, &c.Target, &c.Status, &c.Code, &c.CreatedAt}
	}
	for before := int64(math.MaxInt64); ; {
		rows, err := all(ctx, s.db, fields, selectNewest, before)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, c := range rows {
			if c.CreatedAt.Before(since) {
				return nil
			}
			if c.Action == room.Invite && c.Status != invites.StatusRefused && c.Code != "invite.already" {
				found(c.Actor, c.Target, c.CreatedAt)
			}
		}
		before = rows[len(rows)-1].ID
	}
}

// Claim leases open rows without a current lease and adds one to their attempts. It does not ask whether the rows are due.
func (s Changes) Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) (claimed []invites.Change, err error) {
	k := plain
	if len(rows) == 1 {
		k = single
	}
	err = s.write.commit(ctx, k, func(t *tx) error {
		claimed = claimed[:0]
		for _, row := range rows {
			if err := t.query(appendTo(&claimed, changeFields), updateClaimed, row, now, now.Add(lease)); err != nil {
				return err
			}
		}
		return withOrigins(t, claimed)
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// Settle ends claimed attempts, all in one commit, and releases their leases. ErrFenced: none of them is settled.
func (s Changes) Settle(ctx context.Context, settlements ...invites.Settlement) error {
	if len(settlements) == 0 {
		return nil
	}
	rows := make([][]any, len(settlements))
	var audit []invites.Audit
	var then []invites.Change
	for i, st := range settlements {
		settled := st.At
		if st.Status == invites.StatusOpen || st.Status == invites.StatusWaiting {
			settled = time.Time{}
		}
		rows[i] = []any{st.ID, st.Attempt, st.Status, st.Code, st.Detail, st.DueAt, settled}
		audit = append(audit, st.Audit...)
		then = append(then, st.Then...)
	}
	return s.write.commit(ctx, audited, func(t *tx) error {
		n, err := updateSettled.exec(t, rows)
		if err == nil && n != int64(len(rows)) {
			err = invites.ErrFenced
		}
		if err != nil {
			return err
		}
		if err := refund(t, settlements); err != nil {
			return err
		}
		if _, err := record(t, then); err != nil {
			return err
		}
		appendAudit(t, audit)
		return nil
	})
}

// Release ends the attempts under way, for a start at which no other process can make one. Their leases last until at, at the
// latest. It returns the rows with leases shortened to at.
func (s Changes) Release(ctx context.Context, at time.Time) (rows []int64, err error) {
	err = s.write.commit(ctx, single, func(t *tx) error {
		rows = nil
		return t.query(appendTo(&rows, value[int64]), updateReleased, at)
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

const deleteRefused = `DELETE FROM invitation WHERE id IN (SELECT id FROM invitation WHERE status = 'refused' AND settled_at < $1 ORDER BY settled_at LIMIT $2)`

// CleanRecords deletes rows refused before one time, and cards closed and audit written before another, in several commits when there is much
// to delete.
func (s Changes) CleanRecords(ctx context.Context, refused, audit time.Time) error {
	if err := s.deleteAll(ctx, deleteRefused, refused); err != nil {
		return err
	}
	if err := s.deleteAll(ctx, deleteClosed, audit); err != nil {
		return err
	}
	return s.cleanAudit(ctx, audit)
}
