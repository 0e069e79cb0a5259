package store

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	letterColumns = `l.id, l.request, l.command_room, l.room_id, l.maker, l.server, l.address, l.hash, l.domain, l.language, l.link,
		CASE WHEN l.state NOT IN ('queued', 'sent') THEN l.state WHEN k.ended_at <> 0 THEN 'revoked' WHEN k.max_uses > 0 AND k.used >= k.max_uses THEN 'redeemed'
			WHEN k.expires_at <> 0 AND k.expires_at <= $1 THEN 'expired' ELSE l.state END,
		l.code, l.detail, l.attempt, l.created_at, l.queued_at, l.due_at, l.sent_at, l.settled_at, k.expires_at`
	letterTables = ` FROM letter l JOIN link k ON k.id = l.link `

	insertLetter = `INSERT INTO letter (request, command_room, room_id, part, maker, server, address, hash, domain, language, link, state, code, detail, attempt, told, created_at, queued_at, due_at, sent_at, settled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'queued', '', '', 0, FALSE, $12, $12, $12, 0, 0) RETURNING id`
	selectLetterBefore = `SELECT id FROM letter WHERE hash = $1 AND part = $2 AND request = $3`
	selectLetter       = `SELECT ` + letterColumns + letterTables + `WHERE l.id = $2`
	selectLetterOf     = `SELECT ` + letterColumns + letterTables + `WHERE l.hash = $2 AND l.part = $3 ORDER BY l.id DESC LIMIT 1`
	selectLettersIn    = `SELECT ` + letterColumns + letterTables + `WHERE l.part = $2 AND ($3 = '' OR l.maker = $3) AND (l.state IN ('queued', 'sent') OR l.state = 'refused' AND l.settled_at > $4) ORDER BY l.id DESC LIMIT $5`
	selectLettersDue   = `SELECT ` + letterColumns + letterTables + `WHERE l.state = 'queued' AND l.due_at <= $1 ORDER BY l.due_at, l.id LIMIT $2`
	selectUntold       = `SELECT ` + letterColumns + letterTables + `WHERE l.state = 'refused' AND NOT l.told ORDER BY l.id LIMIT $2`
	countLetters       = `SELECT count(*), coalesce(sum(CASE WHEN maker = $2 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN domain = $3 THEN 1 ELSE 0 END), 0),
		coalesce(sum(CASE WHEN hash = $4 THEN 1 ELSE 0 END), 0) FROM letter WHERE queued_at > $1`
	selectLetterSpent = `SELECT l.maker, l.server, l.queued_at` + letterTables + `WHERE l.part = $1 AND l.queued_at > $2 AND l.state IN ('queued', 'sent') AND k.used = 0 AND k.ended_at = 0`
	// The time of the next try is the lease of this one: if its process is killed, another try begins then.
	updateLetterClaimed = `UPDATE letter SET attempt = attempt + 1, due_at = $3 WHERE id = $1 AND attempt = $2 AND state = 'queued' AND due_at <= $4`
	updateLetter        = `UPDATE letter SET state = $3, code = $4, detail = $5, due_at = $6, sent_at = CASE WHEN $3 = 'sent' THEN $7 ELSE sent_at END,
		settled_at = CASE WHEN $3 IN ('queued', 'sent') THEN 0 ELSE $7 END WHERE id = $1 AND attempt = $2 AND state = 'queued'`
	updateLetterAgain   = `UPDATE letter SET state = 'queued', code = '', detail = '', queued_at = $2, due_at = $2 WHERE id = $1 AND state = 'sent'`
	updateLetterTold    = `UPDATE letter SET told = TRUE, address = '' WHERE id = $1`
	updateLetterRevoked = `UPDATE letter SET state = 'revoked', address = '', settled_at = $2 WHERE id = $1 AND state IN ('queued', 'sent')`
	// A use that leads to nothing is given back at once, so the letter waits a moment before it counts as redeemed.
	updateLettersEnded = `UPDATE letter SET address = '', settled_at = $1, state = CASE WHEN EXISTS (SELECT 1 FROM link WHERE link.id = letter.link AND ended_at <> 0) THEN 'revoked'
			WHEN EXISTS (SELECT 1 FROM link_use WHERE link_use.link = letter.link) THEN 'redeemed' ELSE 'expired' END
		WHERE state IN ('queued', 'sent') AND EXISTS (SELECT 1 FROM link WHERE link.id = letter.link AND (ended_at <> 0 OR expires_at <> 0 AND expires_at <= $1
			OR EXISTS (SELECT 1 FROM link_use WHERE link_use.link = link.id AND at <= $2)))`
	updateLinkLonger = `UPDATE link SET expires_at = $2 WHERE id = $1 AND ended_at = 0`
	deleteLinkSecret = `DELETE FROM link_secret WHERE page = $1`
	deleteLetters    = `DELETE FROM letter WHERE id IN (SELECT id FROM letter WHERE settled_at <> 0 AND settled_at < $1 ORDER BY id LIMIT $2)`
	insertBlock      = `INSERT INTO letter_block (hash, at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`
	deleteBlock      = `DELETE FROM letter_block WHERE hash = $1`
	selectBlock      = `SELECT TRUE FROM letter_block WHERE hash = $1`
)

// usedFor is how long a link has to be used before its letter is over.
const usedFor = time.Minute

// letterFields are the fields of letterColumns.
func letterFields(l *invites.Letter) []any {
	return []any{
		&l.ID, &l.Request, &l.CommandRoom, &l.Room, &l.Maker, &l.Server, &l.Address, &l.Hash, &l.Domain, &l.Language, &l.Link, &l.State, &l.Code, &l.Detail, &l.Attempt,
		&l.CreatedAt, &l.QueuedAt, &l.DueAt, &l.SentAt, &l.SettledAt, &l.ExpiresAt,
	}
}

// CreateLetter adds a letter with its link, which has no secret yet, and returns it as stored. A letter of the same request to the same address
// is there already after a crash, and stays as it is.
func (s Letters) CreateLetter(ctx context.Context, l invites.Letter, k invites.Link) (invites.Letter, error) {
	part := digest(string(l.Room))
	err := s.write.commit(ctx, plain, func(t *tx) error {
		l.ID = 0
		if err := t.query(into(&l.ID, value[int64]), selectLetterBefore, l.Hash, part, l.Request); err != nil || l.ID != 0 {
			return err
		}
		if err := t.query(into(&k.ID, value[int64]), insertLink, inviteLinkFields(&k)[1:]...); err != nil {
			return err
		}
		for _, r := range k.Rooms {
			if _, err := t.exec(insertLinkRoom, k.ID, digest(string(r)), r); err != nil {
				return err
			}
		}
		return t.query(into(&l.ID, value[int64]), insertLetter, l.Request, l.CommandRoom, l.Room, part, l.Maker, l.Server, l.Address, l.Hash, l.Domain, l.Language, k.ID, l.CreatedAt)
	})
	if err != nil {
		return l, err
	}
	return s.Letter(ctx, l.ID, l.CreatedAt)
}

// Letter returns a letter as it is at a time, or ErrNotFound.
func (s Letters) Letter(ctx context.Context, letter int64, now time.Time) (invites.Letter, error) {
	return one(ctx, s.db, letterFields, selectLetter, now, letter)
}

// LetterOf returns the last letter from a room to an address, or ErrNotFound.
func (s Letters) LetterOf(ctx context.Context, r id.RoomID, hash string, now time.Time) (invites.Letter, error) {
	return one(ctx, s.db, letterFields, selectLetterOf, now, hash, digest(string(r)))
}

// LettersIn returns the letters of a room that are on their way, were sent, or were refused since a time, the newest first; with a maker, only
// theirs.
func (s Letters) LettersIn(ctx context.Context, r id.RoomID, maker id.UserID, now, refused time.Time, limit int) ([]invites.Letter, error) {
	return all(ctx, s.db, letterFields, selectLettersIn, now, digest(string(r)), maker, refused, limit)
}

// CountLetters counts letters against limits.
func (s Letters) CountLetters(ctx context.Context, q invites.LetterCount) (invites.LetterCounts, error) {
	return one(ctx, s.db, func(c *invites.LetterCounts) []any { return []any{&c.All, &c.Maker, &c.Domain, &c.Address} }, countLetters, q.Since, q.Maker, q.Domain, q.Hash)
}

// DueLetters returns letters to be sent by now, the most overdue first.
func (s Letters) DueLetters(ctx context.Context, now time.Time, limit int) ([]invites.Letter, error) {
	return all(ctx, s.db, letterFields, selectLettersDue, now, limit)
}

// UntoldLetters returns refused letters of which nobody told their makers.
func (s Letters) UntoldLetters(ctx context.Context, now time.Time, limit int) ([]invites.Letter, error) {
	return all(ctx, s.db, letterFields, selectUntold, now, limit)
}

// ClaimLetter begins a try to send a letter, with a secret of its own for the link. ErrFenced means: another try is under way, or the letter
// is not to be sent any more.
func (s Letters) ClaimLetter(ctx context.Context, l invites.Letter, secret invites.LinkSecret, now, until time.Time) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		n, err := t.exec(updateLetterClaimed, l.ID, l.Attempt, until, now)
		if err == nil && n == 0 {
			err = invites.ErrFenced
		}
		if err == nil {
			_, err = t.exec(insertLinkSecret, l.Link, secret.Page, secret.Code, secret.Knock)
		}
		return err
	})
}

// SettleLetter records the outcome of a try. ErrFenced means: it does not count any more.
func (s Letters) SettleLetter(ctx context.Context, r invites.LetterResult) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		if r.Drop != "" {
			if _, err := t.exec(deleteLinkSecret, r.Drop); err != nil {
				return err
			}
		}
		n, err := t.exec(updateLetter, r.ID, r.Attempt, r.State, r.Code, r.Detail, r.DueAt, r.At)
		if err == nil && n == 0 {
			err = invites.ErrFenced
		}
		return err
	})
}

// SendLetterAgain queues a letter that was sent, and has its link work until a time.
func (s Letters) SendLetterAgain(ctx context.Context, l invites.Letter, now, until time.Time) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		n, err := t.exec(updateLetterAgain, l.ID, now)
		if err == nil && n == 0 {
			err = invites.ErrFenced
		}
		if err == nil {
			_, err = t.exec(updateLinkLonger, l.Link, until)
		}
		return err
	})
}

// RevokeLetter ends a letter with its link. Without one to end it is ErrNotFound.
func (s Letters) RevokeLetter(ctx context.Context, l invites.Letter, by id.UserID, at time.Time) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		n, err := t.exec(updateLetterRevoked, l.ID, at)
		if err == nil && n == 0 {
			err = invites.ErrNotFound
		}
		if err == nil {
			_, err = t.exec(updateLinkEnded, l.Link, at, by)
		}
		return err
	})
}

// EndLetters settles the letters whose links were used, have expired or were revoked, and forgets their addresses.
func (s Letters) EndLetters(ctx context.Context, now time.Time) error {
	_, err := s.change(ctx, updateLettersEnded, now, now.Add(-usedFor))
	return err
}

// LetterTold notes that a letter's maker knows of its refusal, and forgets its address.
func (s Letters) LetterTold(ctx context.Context, letter int64) error {
	_, err := s.change(ctx, updateLetterTold, letter)
	return err
}

// BlockLetters has an address get no letters any more; with off, it gets letters again.
func (s Letters) BlockLetters(ctx context.Context, hash string, off bool, at time.Time) error {
	query, args := insertBlock, []any{hash, at}
	if off {
		query, args = deleteBlock, args[:1]
	}
	_, err := s.change(ctx, query, args...)
	return err
}

// LettersBlocked reports whether an address gets no letters.
func (s Letters) LettersBlocked(ctx context.Context, hash string) (bool, error) {
	_, err := one(ctx, s.db, value[bool], selectBlock, hash)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// CleanLetters deletes letters that ended before a time. The list of blocked addresses stays.
func (s Letters) CleanLetters(ctx context.Context, before time.Time) error {
	return s.deleteAll(ctx, deleteLetters, before)
}
