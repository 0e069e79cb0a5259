package store

import (
	"context"
	"math"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	entryColumns = `id, event_id, room_id, target, sender, inviter, way, command, at, fate, ended_at, ended_by, ending, reminded, turned`

	selectPendingOf = `SELECT ` + entryColumns + ` FROM ledger WHERE room_id = $1 AND target = $2 AND fate = 'pending' ORDER BY id DESC LIMIT 1`
	// An entry that Complete ended because the state showed its end sooner than the stream did: that event was sent by then. The clocks of
	// the homeserver and of Usher may differ by seconds.
	selectForestalled = `SELECT ` + entryColumns + ` FROM ledger
		WHERE room_id = $1 AND target = $2 AND fate = 'unseen' AND ended_at + 10000 >= $3 ORDER BY id DESC LIMIT 1`
	selectHistory   = `SELECT ` + entryColumns + ` FROM ledger WHERE room_id = $1 AND target = $2 ORDER BY id DESC LIMIT $3`
	selectPending   = `SELECT ` + entryColumns + ` FROM ledger WHERE room_id = $1 AND fate = 'pending' ORDER BY at, id LIMIT $2`
	selectSeen      = `SELECT ` + entryColumns + ` FROM ledger WHERE room_id = $1 AND fate = 'pending' AND seen_at < $2`
	selectPendingBy = `SELECT ` + entryColumns + ` FROM ledger WHERE room_id = $1 AND inviter = $2 AND fate = 'pending' ORDER BY id LIMIT $3`
	countPending    = `SELECT count(*) FROM ledger WHERE room_id = $1 AND fate = 'pending'`
	selectAllKeys   = `SELECT room_id, target FROM ledger WHERE fate = 'pending'`

	insertEntry = `INSERT INTO ledger (event_id, room_id, target, sender, inviter, way, command, at, seen_at, fate, ended_at, ended_by, ending, reminded, tried_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 0, '', '', false, 0)
		ON CONFLICT (event_id) DO UPDATE SET fate = 'pending', ended_at = 0 WHERE ledger.fate = 'unseen'`
	insertLate = `INSERT INTO late_member (event_id, seen_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	selectLate = `SELECT seen_at FROM late_member WHERE event_id = $1`
	deleteLate = `DELETE FROM late_member WHERE event_id IN (SELECT event_id FROM late_member WHERE seen_at < $1 ORDER BY seen_at LIMIT $2)`
	// Of very many, the oldest go: a server could send any number.
	selectMostLate = `SELECT seen_at FROM late_member ORDER BY seen_at DESC LIMIT 1 OFFSET $1`

	endEntry = `UPDATE ledger SET fate = $2, ended_at = $3, ended_by = $4, ending = $5 WHERE id = $1 AND ending = ''`
	// The event ending an invitation may arrive again. It must not end a later invitation.
	selectEnding = `SELECT id FROM ledger WHERE room_id = $1 AND target = $2 AND ending = $3`

	// The command through which an invitation came: one carried out by the invitation's sender, and not yet of another entry. Of
	// several, as after a delay of the homeserver, the one with its end nearest to the invitation's time. Rows waiting for another
	// attempt come last.
	selectAsked = `SELECT i.command, i.actor, i.origin FROM invitation i
		WHERE i.part = $4 AND i.room_id = $1 AND i.target = $2 AND i.action = 'invite' AND i.performer = $3 AND i.attempt > 0 AND i.status IN ('open', 'done')
			AND i.code <> 'invite.already' AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.room_id = $1 AND l.target = $2 AND l.command = i.command)
		ORDER BY i.status = 'open' AND i.leased_until = 0, abs(CASE WHEN i.settled_at = 0 THEN $6 ELSE i.settled_at END - $5), i.id LIMIT 1`
	// The command through which an invitation was withdrawn: one given since the invitation was seen.
	selectWithdrawn = `SELECT i.action, i.actor FROM invitation i
		WHERE i.part IN ($5, $6) AND i.room_id = $1 AND i.target = $2 AND i.action IN ('withdraw', 'expire') AND i.performer = $3 AND i.attempt > 0 AND i.status IN ('open', 'done')
			AND i.created_at >= (SELECT seen_at FROM ledger WHERE id = $4)
		ORDER BY i.id DESC LIMIT 1`
)

// search is the statements that page through the invitations of a room with one value of a column, each by an index.
type search struct{ entries, chosen, scanned string }

// searches are the statements by the column. The one of the room chooses nothing.
var searches = map[string]search{"room_id": searchBy("room_id"), "inviter": searchBy("inviter"), "fate": searchBy("fate")}

func searchBy(column string) search {
	older := ` FROM ledger WHERE room_id = $1 AND at >= $2 AND at <= $3 AND (at < $3 OR id < $4) AND ` + column + ` = $5 ORDER BY at DESC, id DESC LIMIT $6`
	return search{
		entries: `SELECT ` + entryColumns + older,
		chosen: `SELECT ` + entryColumns + ` FROM ledger WHERE id IN (SELECT id FROM (SELECT id, at, fate, inviter, target` + older + `) AS scanned
			WHERE ($7 = '' OR fate = $7) AND ($8 = '' OR lower(target) LIKE $8 ESCAPE '\' OR lower(inviter) LIKE $8 ESCAPE '\')
			ORDER BY at DESC, id DESC LIMIT $9) ORDER BY at DESC, id DESC`,
		scanned: `SELECT at, id` + strings.Replace(older, `LIMIT $6`, `LIMIT 1 OFFSET $6`, 1),
	}
}

// entryFields are the fields of entryColumns.
func entryFields(e *invites.Invitation) []any {
	return []any{&e.ID, &e.Event, &e.Room, &e.Target, &e.Sender, &e.Inviter, &e.Way, &e.Command, &e.At, &e.Fate, &e.EndedAt, &e.EndedBy,
		&e.Ending, &e.Reminded, &e.Turned}
}

// observe takes member events into the ledger, in order. An event arriving again changes nothing.
func observe(t *tx, members []invites.MemberEvent) error {
	for i := range members {
		m := &members[i]
		if m.Late() {
			if _, err := t.exec(insertLate, m.Event, m.SeenAt); err != nil {
				return err
			}
		}
		if m.OfAddress() {
			if err := observeAddress(t, m); err != nil {
				return err
			}
			continue
		}
		var open invites.Invitation
		err := t.query(into(&open, entryFields), selectPendingOf, m.Room, m.Target)
		switch {
		case err != nil:
		case m.Membership == "invite":
			err = invited(t, m, open)
		case open.ID == 0:
			if err = t.query(into(&open, entryFields), selectForestalled, m.Room, m.Target, m.SentAt); err == nil && open.ID != 0 {
				err = ended(t, m, open)
			}
		default:
			err = ended(t, m, open)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// invited adds an entry, and ends an earlier open one: a user has one invitation to a room at a time.
func invited(t *tx, m *invites.MemberEvent, open invites.Invitation) error {
	if open.Event == m.Event {
		return nil
	}
	way, command, inviter := invites.WayHand, id.EventID(""), m.Sender
	if m.ThirdParty {
		way = invites.WayThirdParty
	}
	if m.Token != "" {
		if _, err := t.exec(endAddress, m.Room, m.Token, m.SeenAt); err != nil {
			return err
		}
	}
	err := t.query(func(r row) error {
		way = invites.WayBot
		var origin invites.Origin
		err := r.Scan(&command, &inviter, &origin)
		if inviter == m.Sender {
			way = invites.WayActor
		}
		if origin == invites.OriginNative {
			way = invites.WayNative
		}
		return err
	}, selectAsked, m.Room, m.Target, m.Sender, partOf(m, "invite"), m.SentAt, m.SeenAt)
	if err != nil {
		return err
	}
	n, err := t.exec(insertEntry, m.Event, m.Room, m.Target, m.Sender, inviter, way, command,
		earlier(m.SentAt, m.SeenAt), m.SeenAt)
	if err != nil || n == 0 {
		return err
	}
	if _, err := t.exec(insertExpiry, m.Room); err != nil || open.ID == 0 {
		return err
	}
	_, err = t.exec(endEntry, open.ID, invites.FateRenewed, m.SeenAt, inviter, m.Event)
	return err
}

// partOf returns the key.part of the changes acting on the target of m.
func partOf(m *invites.MemberEvent, action string) int64 {
	return digest(action, string(m.Room), string(m.Target))
}

// earlier returns the earlier time. A server with a fast clock can thus date nothing into the future.
func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

// ended closes the open entry.
func ended(t *tx, m *invites.MemberEvent, open invites.Invitation) error {
	again := false
	err := t.query(func(r row) error {
		again = true
		return nil
	}, selectEnding, m.Room, m.Target, m.Event)
	if err != nil || again {
		return err
	}
	fate, by := invites.FateWithdrawn, m.Sender
	switch {
	case m.Membership == "join":
		fate, by = invites.FateAccepted, m.Target
	case m.Membership == "ban":
		fate = invites.FateBanned
	case m.Sender == m.Target:
		fate = invites.FateDeclined
	default:
		err = t.query(func(r row) error {
			var action string
			err := r.Scan(&action, &by)
			if action == "expire" {
				fate = invites.FateExpired
			}
			return err
		}, selectWithdrawn, m.Room, m.Target, m.Sender, open.ID, partOf(m, "withdraw"), partOf(m, "expire"))
	}
	if err != nil {
		return err
	}
	n, err := t.exec(endEntry, open.ID, fate, earlier(m.SentAt, m.SeenAt), by, m.Event)
	if err != nil || n == 0 || fate != invites.FateAccepted {
		return err
	}
	return toWelcome(t, m, &open)
}

// maxLate bounds the late member events that are kept, and keepLate their age: no policy looks further back.
const (
	maxLate  = 200_000
	keepLate = 367 * 24 * time.Hour
)

// LateSince returns when a member event came, if its date is earlier by more than the usual delay; else the zero time.
func (s Ledger) LateSince(ctx context.Context, event id.EventID) (time.Time, error) {
	at, err := one(ctx, s.db, value[time.Time], selectLate, event)
	return at, invites.UnlessNone(err)
}

// cleanLate deletes late member events that are too old or too many.
func (s *db) cleanLate(ctx context.Context, now time.Time) error {
	before := now.Add(-keepLate)
	if most, err := one(ctx, s, value[time.Time], selectMostLate, maxLate); err == nil && most.After(before) {
		before = most
	} else if invites.UnlessNone(err) != nil {
		return err
	}
	return s.deleteAll(ctx, deleteLate, before)
}

// Complete brings the open invitations of a room into line with the invitations in its state: new ones are added, and entries
// seen before asked and now gone end as FateUnseen. None at all stands for a room left by the bot.
func (s Ledger) Complete(ctx context.Context, r id.RoomID, found []invites.MemberEvent, asked time.Time) error {
	shown := make(map[id.EventID]bool, len(found))
	for _, m := range found {
		shown[m.Event] = true
	}
	return s.write.commit(ctx, plain, func(t *tx) error {
		if err := observe(t, found); err != nil {
			return err
		}
		var pending []invites.Invitation
		if err := t.query(appendTo(&pending, entryFields), selectSeen, r, asked); err != nil {
			return err
		}
		for i := range pending {
			if shown[pending[i].Event] {
				continue
			}
			if _, err := t.exec(endEntry, pending[i].ID, invites.FateUnseen, asked, "", ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// EachPending calls found for every pending entry there is.
func (s Ledger) EachPending(ctx context.Context, found func(id.RoomID, id.UserID)) error {
	return s.reads.query(ctx, func(r row) error {
		var in id.RoomID
		var target id.UserID
		err := r.Scan(&in, &target)
		found(in, target)
		return err
	}, selectAllKeys)
}

// Pending returns up to limit pending entries of a room, the oldest first, and how many there are.
func (s Ledger) Pending(ctx context.Context, r id.RoomID, limit int) ([]invites.Invitation, int, error) {
	list, err := all(ctx, s.db, entryFields, selectPending, r, limit)
	if err != nil || len(list) < limit {
		return list, len(list), err
	}
	n, err := one(ctx, s.db, value[int], countPending, r)
	return list, n, err
}

// PendingOf returns the open invitation of a user in a room, or ErrNotFound.
func (s Ledger) PendingOf(ctx context.Context, r id.RoomID, target id.UserID) (invites.Invitation, error) {
	return one(ctx, s.db, entryFields, selectPendingOf, r, target)
}

// PendingBy returns up to limit open invitations of a room by an inviter, the oldest first.
func (s Ledger) PendingBy(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]invites.Invitation, error) {
	return all(ctx, s.db, entryFields, selectPendingBy, r, inviter, limit)
}

// Entries returns up to limit invitations of a room, the newest first, among the next invitations of a bounded number, and the place from which
// to go on; zero: nothing is left.
func (s Ledger) Entries(ctx context.Context, q invites.LedgerQuery, limit int) (list []invites.Invitation, next invites.Place, err error) {
	if q.Until.IsZero() {
		q.Until = latest
	}
	before := invites.Place{At: q.Until, ID: 0}
	if !q.After.At.IsZero() && q.After.At.Before(q.Until) {
		before = q.After
	}
	column, key, fate := "room_id", string(q.Room), q.Fate
	switch {
	case q.Inviter != "":
		column, key = "inviter", string(q.Inviter)
	case fate != "":
		column, key, fate = "fate", string(fate), ""
	}
	by, scan, args := searches[column], limit, []any{q.Room, q.Since, before.At, before.ID, key, limit}
	statement := by.entries
	if q.Text != "" || fate != "" {
		pattern := ""
		if q.Text != "" {
			pattern = "%" + likeEscaper.Replace(strings.ToLower(q.Text)) + "%"
		}
		statement, scan, args[5] = by.chosen, mostScanned, mostScanned
		args = append(args, fate, pattern, limit)
	}
	list, err = all(ctx, s.db, entryFields, statement, args...)
	if err != nil {
		return nil, next, err
	}
	if len(list) == limit {
		last := list[limit-1]
		return list, invites.Place{At: last.At, ID: last.ID}, nil
	}
	next, err = one(ctx, s.db, placeFields, by.scanned, q.Room, q.Since, before.At, before.ID, key, scan-1)
	return list, next, invites.UnlessNone(err)
}

// latest is later than each time in the database.
var latest = time.UnixMilli(math.MaxInt64)

// mostScanned is how many invitations one page of a search looks at.
const mostScanned = 5_000

// likeEscaper takes the special meaning from characters of a pattern.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func placeFields(p *invites.Place) []any { return []any{&p.At, &p.ID} }

// EntriesOf returns up to limit invitations of a user in a room, the newest first.
func (s Ledger) EntriesOf(ctx context.Context, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error) {
	return all(ctx, s.db, entryFields, selectHistory, r, target, limit)
}
