package store

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	inboxColumns = `seq, event_id, room_id, sender, type, state_key, raw, sent_at, received_at, redacted, answer, handled`

	selectWaiting  = `SELECT ` + inboxColumns + ` FROM inbox WHERE NOT handled ORDER BY seq`
	selectReceived = `SELECT ` + inboxColumns + ` FROM inbox WHERE event_id = $1`
	selectAnswered = `SELECT ` + inboxColumns + ` FROM inbox WHERE answer = $1 AND answer <> '' AND length(answer) < 256`
	selectAnswers  = `SELECT answer FROM inbox WHERE NOT handled AND answer <> ''`
	selectRedacted = `SELECT redacted, state_key IS NOT NULL FROM inbox WHERE event_id = $1`
	updateRedacted = `UPDATE inbox SET redacted = true WHERE event_id = $1 AND sender = $2`
	updateAnswer   = `UPDATE inbox SET answer = $2 WHERE event_id = $1`
	updateHandled  = `UPDATE inbox SET handled = true WHERE event_id = $1`
	selectYoung    = `SELECT seq FROM inbox WHERE received_at >= $1 ORDER BY seq LIMIT 1`
	deleteHandled  = `DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE handled AND seq < $1 ORDER BY seq LIMIT $2)`
)

// insertInbox skips what is there already.
var insertInbox = newMulti(
	`INSERT INTO inbox (event_id, room_id, sender, type, state_key, raw, sent_at, received_at, redacted, answer) VALUES `,
	` ON CONFLICT DO NOTHING RETURNING seq, event_id`,
	make([]string, 10)...)

// Receive implements invites.Store.
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
		err := insertInbox.query(t, rows, func(row scanner) error {
			var seq int64
			var event id.EventID
			err := row.Scan(&seq, out(&event))
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

// inboxRows are the values of events.
func inboxRows(events []invites.Received) [][]any {
	rows := make([][]any, len(events))
	for i := range events {
		e := &events[i]
		var stateKey any
		if e.StateKey != nil {
			stateKey = in(*e.StateKey)
		}
		rows[i] = []any{in(e.Event), in(e.Room), in(e.Sender), in(e.Type), stateKey, blob(e.Raw),
			ms(e.SentAt), ms(e.ReceivedAt), e.Redacted, in(e.Answer)}
	}
	return rows
}

// arrived returns the events that were given a place in the inbox, each once.
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

func scanReceived(row scanner) (e invites.Received, err error) {
	err = row.Scan(&e.Seq, out(&e.Event), out(&e.Room), out(&e.Sender), out(&e.Type), optional{&e.StateKey},
		(*[]byte)(&e.Raw), moment{&e.SentAt}, moment{&e.ReceivedAt}, &e.Redacted, out(&e.Answer), &e.Handled)
	return e, err
}

// Waiting implements invites.Store.
func (s Inbox) Waiting(ctx context.Context) ([]invites.Received, error) {
	return all(ctx, &s.reads, scanReceived, selectWaiting)
}

// Received implements invites.Store.
func (s Inbox) Received(ctx context.Context, event id.EventID) (invites.Received, error) {
	return one(ctx, &s.reads, scanReceived, selectReceived, in(event))
}

// Redacted implements invites.Store.
func (s Inbox) Redacted(ctx context.Context, event id.EventID) (redacted, state bool, err error) {
	found, err := one(ctx, &s.reads, func(row scanner) (b [2]bool, err error) {
		err = row.Scan(&b[0], &b[1])
		return b, err
	}, selectRedacted, in(event))
	return found[0], found[1], err
}

// Answered implements invites.Store.
func (s Inbox) Answered(ctx context.Context, answer id.EventID) (invites.Received, error) {
	return one(ctx, &s.reads, scanReceived, selectAnswered, in(answer))
}

// OpenAnswers returns the answers of events not handled: cards, and status messages.
func (s Inbox) OpenAnswers(ctx context.Context) ([]id.EventID, error) {
	return all(ctx, &s.reads, func(row scanner) (answer id.EventID, err error) {
		err = row.Scan(out(&answer))
		return answer, err
	}, selectAnswers)
}

// Redact implements invites.Store. It reports true again for an event that sender has taken back before.
func (s Inbox) Redact(ctx context.Context, event id.EventID, sender id.UserID) (bool, error) {
	var n int64
	err := s.write.commit(ctx, single, func(t *tx) (err error) {
		n, err = t.exec(updateRedacted, in(event), in(sender))
		return err
	})
	return n > 0, err
}

// SetAnswer implements invites.Store. It returns ErrNotFound for a command that the inbox does not have.
func (s Inbox) SetAnswer(ctx context.Context, command, answer id.EventID) error {
	return found(s.change(ctx, updateAnswer, in(command), in(answer)))
}

// Handled implements invites.Store. It returns ErrNotFound for an event that the inbox does not have.
func (s Inbox) Handled(ctx context.Context, event id.EventID) error {
	return found(s.change(ctx, updateHandled, in(event)))
}

// cleanStep bounds what one commit deletes, so that nobody waits long for it.
const cleanStep = 1000

// Clean implements invites.Store, in several commits when there is much to delete.
func (s Inbox) Clean(ctx context.Context, before time.Time) error {
	// Events were received in the order of seq, so the first that is young ends what there is to read.
	young, err := one(ctx, &s.reads, func(row scanner) (seq int64, err error) {
		err = row.Scan(&seq)
		return seq, err
	}, selectYoung, ms(before))
	if errors.Is(err, invites.ErrNotFound) {
		young, err = math.MaxInt64, nil
	}
	if err == nil {
		err = s.deleteAll(ctx, deleteHandled, young)
	}
	if err == nil {
		err = s.deleteAll(ctx, deleteQuarantined, ms(before))
	}
	if err == nil { // what was spent before any quota's time
		err = s.deleteAll(ctx, deleteSpending, ms(before.Add(-longestQuota)))
	}
	return err
}

// deleteAll runs a statement that deletes what is below a bound, so much at a time, until it finds no more.
func (s *db) deleteAll(ctx context.Context, query string, below int64) error {
	for n := int64(cleanStep); n == cleanStep; {
		var err error
		if n, err = s.change(ctx, query, below, cleanStep); err != nil {
			return err
		}
	}
	return nil
}

// CreateEvent returns a room's m.room.create event as SaveCreateEvent kept it, or ErrNotFound. It never changes.
func (s Rooms) CreateEvent(ctx context.Context, room id.RoomID) (json.RawMessage, error) {
	scan := func(row scanner) (raw json.RawMessage, err error) {
		err = row.Scan((*[]byte)(&raw))
		return raw, err
	}
	return one(ctx, &s.reads, scan, selectCreate, in(room))
}

// SaveCreateEvent keeps a room's m.room.create event. The first one stays.
func (s Rooms) SaveCreateEvent(ctx context.Context, room id.RoomID, raw json.RawMessage) error {
	_, err := s.change(ctx, insertCreate, in(room), blob(raw))
	return err
}

const (
	selectCreate = `SELECT raw FROM create_event WHERE room_id = $1`
	insertCreate = `INSERT INTO create_event (room_id, raw) VALUES ($1, $2) ON CONFLICT DO NOTHING`
)

// keyColumns are the columns by which the lanes of rooms order events: all but the content.
const keyColumns = `seq, event_id, room_id, sender, type, state_key, received_at`

func scanKey(row scanner) (e invites.Received, err error) {
	err = row.Scan(&e.Seq, out(&e.Event), out(&e.Room), out(&e.Sender), out(&e.Type), optional{&e.StateKey}, moment{&e.ReceivedAt})
	return e, err
}

const selectWaitingAfter = `SELECT ` + keyColumns + ` FROM inbox
	WHERE NOT handled AND seq > $1 ORDER BY seq LIMIT $2`

// WaitingAfter returns the keys of up to limit events not handled, by Seq, after the one given: Raw and what else Received
// returns is left out.
func (s Inbox) WaitingAfter(ctx context.Context, seq int64, limit int) ([]invites.Received, error) {
	return all(ctx, &s.reads, scanKey, selectWaitingAfter, seq, limit)
}
