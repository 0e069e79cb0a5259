package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

const (
	askedColumns = `kind, room_id, shown_in, event_id, command, home, action, actor, target, performer, reason, remark, targets, policy,
		votes, level, created_at, expires_at, state, code, closed_by, answer, closed_at, told`
	cardColumns = `id, number, ` + askedColumns
	// leanColumns leave out the targets of a confirmation: there may be ten thousand, and most readers need none. CardOf returns them.
	leanColumns = `id, number, kind, room_id, shown_in, event_id, command, home, action, actor, target, performer, reason, remark,
		CASE WHEN kind = 'confirm' THEN '' ELSE targets END, policy, votes, level, created_at, expires_at, state, code, closed_by, answer, closed_at, told`
	voteColumns = `voter, choice, room_id, event_id, reason, at`

	// insertCard returns the card if it exists: the update without effect makes RETURNING return it.
	insertCard = `INSERT INTO card (part, number, ` + askedColumns + `)
		SELECT $1, coalesce((SELECT max(number) FROM card WHERE shown_in = $4), 0) + 1,
			$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
		ON CONFLICT (part) DO UPDATE SET part = excluded.part RETURNING ` + cardColumns
	// lockShown keeps two cards of one room from getting the same number on PostgreSQL. SQLite has one writer.
	lockShown      = `SELECT pg_advisory_xact_lock($1)`
	updatePosted   = `UPDATE card SET event_id = $2 WHERE id = $1`
	updateTold     = `UPDATE card SET told = true WHERE id = $1`
	selectShown    = `SELECT ` + leanColumns + ` FROM card WHERE event_id = $1 AND event_id <> ''`
	selectVoted    = `SELECT ` + leanColumns + ` FROM card WHERE id = (SELECT max(card) FROM vote WHERE event_id = $1)`
	selectNumbered = `SELECT ` + leanColumns + ` FROM card WHERE shown_in = $1 AND number = $2`
	selectCardOf   = `SELECT ` + cardColumns + ` FROM card WHERE part = $1`
	selectTodo     = `SELECT ` + leanColumns + ` FROM card WHERE NOT told AND id > $1 AND ($2 = '' OR command = $2) AND ($3 = '' OR room_id = $3)
		AND (CAST($4 AS BIGINT) = 0 OR state <> 'open' OR event_id = '' OR (expires_at <> 0 AND expires_at <= $4)) ORDER BY id LIMIT $5`
	ofOpen        = ` FROM card WHERE NOT told AND state = 'open' AND kind = $1 AND ($2 = '' OR room_id = $2) AND ($3 = '' OR shown_in = $3) AND ($4 = '' OR actor = $4)`
	selectOpen    = `SELECT ` + leanColumns + ofOpen + ` ORDER BY id`
	countOpen     = `SELECT count(*)` + ofOpen
	selectKnocked = `SELECT ` + cardColumns + ` FROM card WHERE room_id = $1 AND kind = 'knock' AND created_at > $2
		ORDER BY created_at DESC, id DESC LIMIT $3`
	updateClosed = `UPDATE card SET state = $2, code = $3, closed_by = $4, answer = $5, closed_at = $6, told = $7
		WHERE id = $1 AND state = 'open'`
	upsertVote = `INSERT INTO vote (card, who, ` + voteColumns + `)
		SELECT id, $2, $3, $4, $5, $6, $7, $8 FROM card WHERE id = $1 AND state = 'open'
		ON CONFLICT (card, who) DO UPDATE SET choice = excluded.choice, room_id = excluded.room_id,
			event_id = excluded.event_id, reason = excluded.reason, at = excluded.at`
	deleteClosed    = `DELETE FROM card WHERE id IN (SELECT id FROM card WHERE told AND closed_at < $1 ORDER BY closed_at LIMIT $2)` // and its votes
	deleteVote      = `DELETE FROM vote WHERE card = $1 AND event_id = $2`
	selectVotes     = `SELECT ` + voteColumns + ` FROM vote WHERE card = $1 ORDER BY at, who`
	updateDecidedOn = `UPDATE invitation SET status = $2, code = $3, detail = $4, due_at = $5, settled_at = $6, created_at = $7
		WHERE id = $1 AND status = 'waiting'`
)

// asked returns the unique key of a card's question, as the index has it.
func asked(command id.EventID, action room.ActionType, r id.RoomID, target id.UserID) int64 {
	return digest(string(command), string(action), string(r), string(target))
}

// cardFields are the fields of cardColumns.
func cardFields(c *invites.Card) []any {
	return []any{&c.ID, &c.Number, &c.Kind, &c.Room, &c.ShownIn, &c.Event, &c.Command, &c.Home, &c.Action, &c.Actor, &c.Target,
		&c.Performer, &c.Reason, &c.Remark, &c.Targets, &c.Policy, &c.Votes, &c.Level, &c.CreatedAt, &c.ExpiresAt, &c.State, &c.Code, &c.ClosedBy,
		&c.Answer, &c.ClosedAt, &c.Told}
}

// voteFields are the fields of voteColumns.
func voteFields(v *invites.Vote) []any {
	return []any{&v.Voter, &v.Choice, &v.Room, &v.Event, &v.Reason, &v.At}
}

// OpenCard adds a card, with the next number of its room, unless its question has one already, and returns
// it as stored.
func (s Cards) OpenCard(ctx context.Context, c invites.Card) (stored invites.Card, err error) {
	err = s.write.commit(ctx, plain, func(t *tx) error {
		if s.pool != nil {
			if err := t.query(func(row) error { return nil }, lockShown, digest(string(c.ShownIn))); err != nil {
				return err
			}
		}
		question := asked(c.Command, c.Action, c.Room, c.Target)
		return t.query(into(&stored, cardFields), insertCard, append([]any{question}, cardFields(&c)[2:]...)...)
	})
	return stored, err
}

// PostedCard remembers the notice of a card.
func (s Cards) PostedCard(ctx context.Context, card int64, notice id.EventID) error {
	return found(s.change(ctx, updatePosted, card, notice))
}

// CardShown returns the card by the event of its notice.
func (s Cards) CardShown(ctx context.Context, notice id.EventID) (invites.Card, error) {
	return one(ctx, s.db, cardFields, selectShown, notice)
}

// CardVoted returns the card on which an event is a vote.
func (s Cards) CardVoted(ctx context.Context, vote id.EventID) (invites.Card, error) {
	return one(ctx, s.db, cardFields, selectVoted, vote)
}

// CardNumbered returns a card by its room and its number there.
func (s Cards) CardNumbered(ctx context.Context, shownIn id.RoomID, number int64) (invites.Card, error) {
	return one(ctx, s.db, cardFields, selectNumbered, shownIn, number)
}

// CardOf returns the card of a question, with all targets, which the other methods leave out of a confirmation.
func (s Cards) CardOf(ctx context.Context, command id.EventID, action room.ActionType, r id.RoomID, target id.UserID) (invites.Card, error) {
	return one(ctx, s.db, cardFields, selectCardOf, asked(command, action, r, target))
}

// CardsTodo returns open cards, and cards with an outcome still to be told, by ID.
func (s Cards) CardsTodo(ctx context.Context, q invites.CardTodo) ([]invites.Card, error) {
	return all(ctx, s.db, cardFields, selectTodo, q.After, q.Command, q.Room, q.Due, q.Limit)
}

// OpenCards returns open cards, by ID.
func (s Cards) OpenCards(ctx context.Context, q invites.CardQuery) ([]invites.Card, error) {
	return all(ctx, s.db, cardFields, selectOpen, q.Kind, q.Room, q.ShownIn, q.Actor)
}

// CountCards counts open cards.
func (s Cards) CountCards(ctx context.Context, q invites.CardQuery) (int, error) {
	return one(ctx, s.db, value[int], countOpen, q.Kind, q.Room, q.ShownIn, q.Actor)
}

// Knocked returns the knock cards of a room made after since, open or not, the newest first.
func (s Cards) Knocked(ctx context.Context, r id.RoomID, since time.Time, limit int) ([]invites.Card, error) {
	return all(ctx, s.db, cardFields, selectKnocked, r, since, limit)
}

// CastVote counts a vote on an open card; it replaces an earlier one by the same voter. False: the card is closed.
func (s Cards) CastVote(ctx context.Context, card int64, v invites.Vote) (bool, error) {
	n, err := s.change(ctx, upsertVote, append([]any{card, digest(string(v.Voter))}, voteFields(&v)...)...)
	return n > 0, err
}

// WithdrawVote takes a vote back, if the voter has not voted otherwise since.
func (s Cards) WithdrawVote(ctx context.Context, card int64, vote id.EventID) error {
	_, err := s.change(ctx, deleteVote, card, vote)
	return err
}

// Votes returns the votes on a card, in the order of voting.
func (s Cards) Votes(ctx context.Context, card int64) ([]invites.Vote, error) {
	return all(ctx, s.db, voteFields, selectVotes, card)
}

// CloseCard ends a card. False: it was closed before, and nothing was changed. Its row is left as it is if it waits no longer.
func (s Cards) CloseCard(ctx context.Context, c invites.Closing) (closed bool, err error) {
	err = s.write.commit(ctx, audited, func(t *tx) error {
		n, err := t.exec(updateClosed, c.Card, c.State, c.Code, c.By, c.Answer, c.At, c.Told)
		if closed = n > 0; err != nil || !closed {
			return err
		}
		switch r := c.Row; {
		case r == nil:
		case r.ID != 0:
			if r.Status != invites.StatusOpen {
				if err := refund(t, []invites.Settlement{{ID: r.ID, Refund: true}}); err != nil {
					return err
				}
			}
			_, err = t.exec(updateDecidedOn, r.ID, r.Status, r.Code, r.Detail, r.DueAt, r.SettledAt, r.CreatedAt)
		default:
			_, err = record(t, []invites.Change{*r})
		}
		if err != nil {
			return err
		}
		appendAudit(t, c.Audit)
		return nil
	})
	return closed && err == nil, err
}

// ToldCard ends the work on a closed card.
func (s Cards) ToldCard(ctx context.Context, card int64) error {
	return found(s.change(ctx, updateTold, card))
}
