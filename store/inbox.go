package store

import (
	"context"
	"errors"
	"math"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	inboxColumns = `seq, event_id, room_id, sender, type, state_key, raw, sent_at, received_at, redacted, answer, handled`

	selectReceived = `SELECT ` + inboxColumns + ` FROM inbox WHERE event_id = $1`
	selectAnswered = `SELECT ` + inboxColumns + ` FROM inbox WHERE answer = $1 AND answer <> '' AND length(answer) < 256 AND NOT handled`
	selectRedacted = `SELECT redacted, state_key IS NOT NULL FROM inbox WHERE event_id = $1`
	updateRedacted = `UPDATE inbox SET redacted = true WHERE (event_id = $1 OR event_id = (SELECT answer FROM inbox WHERE event_id = $1)) AND sender = $2`
	updateAnswer   = `UPDATE inbox SET answer = $2 WHERE event_id = $1`
	selectYoung    = `SELECT seq FROM inbox WHERE received_at >= $1 ORDER BY seq LIMIT 1`
	deleteReceived = `DELETE FROM inbox WHERE event_id = $1`
	deleteHandled  = `DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE handled AND seq < $1 ORDER BY seq LIMIT $2)`
)

// insertInbox skips events already in the inbox.
var insertInbox = newMulti(
	`INSERT INTO inbox (event_id, room_id, sender, type, state_key, raw, sent_at, received_at, redacted, answer) VALUES `,
	` ON CONFLICT DO NOTHING RETURNING seq, event_id`,
	make([]string, 10)...)

// updateHandled marks events.
var updateHandled = newMulti(`UPDATE inbox SET handled = true WHERE event_id IN (VALUES `, `)`, "TEXT")

// Receive adds events to the inbox and returns those not seen before, with Seq set, in order. In the same commit the ledger takes in the
// member events of the same transaction.
func (s Inbox) Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) ([]invites.Received, error) {
	if len(events)+len(members) == 0 {
		return nil, nil
	}
	rows := inboxRows(events)
	var fresh []invites.Received
	k := plain
	if len(rows)+len(members) == 1 && s.term.Load() == 0 {
		k = single
	}
	err := s.write.commit(ctx, k, func(t *tx) error {
		if err := s.fence(t); err != nil {
			return err
		}
		seqs := make(map[id.EventID]int64, len(events))
		err := insertInbox.query(t, rows, func(r row) error {
			var seq int64
			var event id.EventID
			err := r.Scan(&seq, &event)
			seqs[event] = seq
			return err
		})
		if err == nil {
			err = observe(t, members)
		}
		if err != nil {
			return err
		}
		fresh = arrived(events, seqs)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fresh, nil
}

// inboxFields are the fields of inboxColumns.
func inboxFields(e *invites.Received) []any {
	return []any{&e.Seq, &e.Event, &e.Room, &e.Sender, &e.Type, &e.StateKey, &e.Raw, &e.SentAt, &e.ReceivedAt, &e.Redacted,
		&e.Answer, &e.Handled}
}

// inboxRows returns the values for insertInbox.
func inboxRows(events []invites.Received) [][]any {
	rows := make([][]any, len(events))
	for i := range events {
		f := inboxFields(&events[i])
		rows[i] = f[1 : len(f)-1]
	}
	return rows
}

// arrived returns the inserted events, each once, with Seq.
func arrived(events []invites.Received, seqs map[id.EventID]int64) []invites.Received {
	fresh := make([]invites.Received, 0, len(seqs))
	for _, e := range events {
		if seq, ok := seqs[e.Event]; ok {
			delete(seqs, e.Event) // the same event later in the list is not fresh
			e.Seq = seq
			fresh = append(fresh, e)
		}
	}
	return fresh
}

// Answered returns the event with an answer that is still edited, or ErrNotFound.
func (s Inbox) Answered(ctx context.Context, answer id.EventID) (invites.Received, error) {
	return one(ctx, s.db, inboxFields, selectAnswered, answer)
}

// Received returns one inbox event, or ErrNotFound.
func (s Inbox) Received(ctx context.Context, event id.EventID) (invites.Received, error) {
	return one(ctx, s.db, inboxFields, selectReceived, event)
}

// Redacted tells whether an inbox event was marked as redacted, and whether it is a state event, or ErrNotFound.
func (s Inbox) Redacted(ctx context.Context, event id.EventID) (redacted, state bool, err error) {
	m, err := one(ctx, s.db, func(m *[2]bool) []any { return []any{&m[0], &m[1]} }, selectRedacted, event)
	return m[0], m[1], err
}

// Redact marks an event as redacted, and the edit recorded as its answer, if sender is the sender in the inbox, and reports whether it did.
// It reports true again for an event redacted by the sender before.
func (s Inbox) Redact(ctx context.Context, event id.EventID, sender id.UserID) (bool, error) {
	var n int64
	err := s.write.commit(ctx, single, func(t *tx) (err error) {
		n, err = t.exec(updateRedacted, event, sender)
		return err
	})
	return n > 0, err
}

// SetAnswer remembers the status message of a command. It returns ErrNotFound for a command missing from the inbox.
func (s Inbox) SetAnswer(ctx context.Context, command, answer id.EventID) error {
	return found(s.change(ctx, updateAnswer, command, answer))
}

// Handled ends inbox events: their replies are out. It returns ErrNotFound if none of them is in the inbox.
func (s Inbox) Handled(ctx context.Context, events ...id.EventID) error {
	if len(events) == 0 {
		return nil
	}
	k := single
	if len(events) > 1 {
		k = plain
	}
	rows := make([][]any, len(events))
	for i, e := range events {
		rows[i] = []any{e}
	}
	for len(rows) < maxMulti && len(rows)&(len(rows)-1) != 0 {
		rows = append(rows, rows[0]) // one statement rather than one for each power of two
	}
	var n int64
	err := s.write.commit(ctx, k, func(t *tx) (err error) {
		n, err = updateHandled.exec(t, rows)
		return err
	})
	return found(n, err)
}

// Dismiss drops events without need of handling, in one commit. An event arriving again is new again.
func (s Inbox) Dismiss(ctx context.Context, events []id.EventID) error {
	return changeEach(ctx, s.db, events, deleteReceived, func(e id.EventID) []any { return []any{e} })
}

// cleanStep bounds the deleted rows of one commit, so other writers do not wait long.
const cleanStep = 1000

// Clean deletes handled inbox events and quarantined ones older than before, in several commits when there is much to delete.
func (s Inbox) Clean(ctx context.Context, before time.Time) error {
	// Events were received in the order of seq, so all events before the first young one are old.
	young, err := one(ctx, s.db, value[int64], selectYoung, before)
	if errors.Is(err, invites.ErrNotFound) {
		young, err = math.MaxInt64, nil
	}
	if err == nil {
		err = s.deleteAll(ctx, deleteHandled, young)
	}
	if err == nil {
		err = s.deleteAll(ctx, deleteQuarantined, before)
	}
	if err == nil { // no quota reaches back further
		err = s.deleteAll(ctx, deleteSpending, before.Add(-longestQuota))
	}
	if err == nil {
		err = s.cleanLate(ctx, before)
	}
	if err == nil {
		err = s.deleteAll(ctx, deleteGoneAddresses, before)
	}
	return err
}

// deleteAll runs a statement to delete up to cleanStep rows below a bound, until no such row is left.
func (s *db) deleteAll(ctx context.Context, query string, below any) error {
	for n := int64(cleanStep); n == cleanStep; {
		var err error
		if n, err = s.change(ctx, query, below, cleanStep); err != nil {
			return err
		}
	}
	return nil
}

// keyColumns are the columns by which the lanes of rooms order events: all but the content.
const keyColumns = `seq, event_id, room_id, sender, type, state_key, received_at`

func keyFields(e *invites.Received) []any {
	return []any{&e.Seq, &e.Event, &e.Room, &e.Sender, &e.Type, &e.StateKey, &e.ReceivedAt}
}

const selectWaitingAfter = `SELECT ` + keyColumns + ` FROM inbox
	WHERE NOT handled AND seq > $1 ORDER BY seq LIMIT $2`

const selectWaitingIn = `SELECT ` + keyColumns + ` FROM inbox
	WHERE NOT handled AND seq > $1 AND room_id = $3 ORDER BY seq LIMIT $2`

// WaitingIn is WaitingAfter for one room.
func (s Inbox) WaitingIn(ctx context.Context, r id.RoomID, seq int64, limit int) ([]invites.Received, error) {
	return all(ctx, s.db, keyFields, selectWaitingIn, seq, limit, r)
}

// WaitingAfter returns up to limit unhandled events and come after seq, by Seq. The events have no Raw and no SentAt.
func (s Inbox) WaitingAfter(ctx context.Context, seq int64, limit int) ([]invites.Received, error) {
	return all(ctx, s.db, keyFields, selectWaitingAfter, seq, limit)
}
