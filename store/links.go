package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	linkColumns = `id, maker, max_uses, used, approve, shows, welcome, note, created_at, expires_at, ended_at, ended_by`
	useColumns  = `id, link, target, ticket, number, at`

	insertLink = `INSERT INTO link (maker, max_uses, used, approve, shows, welcome, note, created_at, expires_at, ended_at, ended_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`
	insertLinkRoom   = `INSERT INTO link_room (link, part, room_id) VALUES ($1, $2, $3) ON CONFLICT (link, part) DO NOTHING`
	insertLinkSecret = `INSERT INTO link_secret (link, page, code, knock) VALUES ($1, $2, $3, $4)`
	selectLink       = `SELECT ` + linkColumns + ` FROM link WHERE id = $1`
	selectLinkByPage = `SELECT ` + linkColumns + ` FROM link WHERE id = (SELECT link FROM link_secret WHERE page = $1)`
	selectLinkByCode = `SELECT ` + linkColumns + ` FROM link WHERE id = (SELECT link FROM link_secret WHERE code = $1)`
	selectLinks      = `SELECT ` + linkColumns + ` FROM link WHERE ($1 = '' OR maker = $1)
		AND (CAST($2 AS BIGINT) = 0 OR id IN (SELECT link FROM link_room WHERE part = $2)) AND ended_at = 0 AND (expires_at = 0 OR expires_at > $3)
		AND NOT EXISTS (SELECT 1 FROM letter WHERE letter.link = link.id) ORDER BY id DESC LIMIT $4`
	selectLinkRooms  = `SELECT room_id FROM link_room WHERE link = $1 ORDER BY room_id`
	selectKnockKeys  = `SELECT knock FROM link_secret WHERE link = $1`
	countLinkSecrets = `SELECT count(*) FROM link_secret WHERE link = $1`
	updateLinkEnded  = `UPDATE link SET ended_at = $2, ended_by = $3 WHERE id = $1 AND ended_at = 0`
	deleteLinkRoom   = `DELETE FROM link_room WHERE link = $1 AND part = $2`
	// The use is counted first: the row of the link is the lock.
	updateLinkUsed = `UPDATE link SET used = used + 1 WHERE id = $1 AND ended_at = 0 AND (expires_at = 0 OR expires_at > $2)
		AND (max_uses = 0 OR used < max_uses) RETURNING used`
	updateLinkUnused = `UPDATE link SET used = used - 1 WHERE id = $1 AND used > 0`
	insertLinkUse    = `INSERT INTO link_use (link, part, target, ticket, number, at) VALUES ($1, $2, $3, $4, $5, $6)`
	deleteLinkUse    = `DELETE FROM link_use WHERE id = $1`
	selectLinkUseOf  = `SELECT ` + useColumns + ` FROM link_use WHERE link = $1 AND part = $2`
	selectLinkUse    = `SELECT ` + useColumns + ` FROM link_use WHERE link = $1 AND ticket = $2`
	selectLinkUses   = `SELECT ` + useColumns + ` FROM link_use WHERE link = $1 ORDER BY id DESC LIMIT $2`
	deleteLinks      = `DELETE FROM link WHERE id IN (SELECT id FROM link WHERE (ended_at <> 0 AND ended_at < $1) OR (expires_at <> 0 AND expires_at < $1) ORDER BY id LIMIT $2)`
)

// inviteLinkFields are the fields of linkColumns.
func inviteLinkFields(l *invites.Link) []any {
	return []any{&l.ID, &l.Maker, &l.MaxUses, &l.Used, &l.Approve, &l.Shows, &l.Welcome, &l.Note, &l.CreatedAt, &l.ExpiresAt, &l.EndedAt, &l.EndedBy}
}

// useFields are the fields of useColumns.
func useFields(u *invites.LinkUse) []any {
	return []any{&u.ID, &u.Link, &u.Target, &u.Ticket, &u.Number, &u.At}
}

// CreateLink adds a link with its first secret, and returns it as stored.
func (s Links) CreateLink(ctx context.Context, l invites.Link, secret invites.LinkSecret) (invites.Link, error) {
	err := s.write.commit(ctx, plain, func(t *tx) error {
		if err := t.query(into(&l.ID, value[int64]), insertLink, inviteLinkFields(&l)[1:]...); err != nil {
			return err
		}
		for _, r := range l.Rooms {
			if _, err := t.exec(insertLinkRoom, l.ID, digest(string(r)), r); err != nil {
				return err
			}
		}
		_, err := t.exec(insertLinkSecret, l.ID, secret.Page, secret.Code, secret.Knock)
		return err
	})
	return l, err
}

// AddLinkSecret gives a link one more secret.
func (s Links) AddLinkSecret(ctx context.Context, link int64, secret invites.LinkSecret) error {
	_, err := s.change(ctx, insertLinkSecret, link, secret.Page, secret.Code, secret.Knock)
	return err
}

// LinkSecrets counts the secrets of a link.
func (s Links) LinkSecrets(ctx context.Context, link int64) (int, error) {
	return one(ctx, s.db, value[int], countLinkSecrets, link)
}

// Link returns a link, or ErrNotFound.
func (s Links) Link(ctx context.Context, link int64) (invites.Link, error) {
	return s.link(ctx, selectLink, link)
}

// LinkByPage returns the link of a page, by the hash of the secret in its address, or ErrNotFound.
func (s Links) LinkByPage(ctx context.Context, hash string) (invites.Link, error) {
	return s.link(ctx, selectLinkByPage, hash)
}

// LinkByCode returns the link of a code for direct chats, by its hash, or ErrNotFound.
func (s Links) LinkByCode(ctx context.Context, hash string) (invites.Link, error) {
	return s.link(ctx, selectLinkByCode, hash)
}

// link returns the link of a statement, with its rooms.
func (s Links) link(ctx context.Context, query string, arg any) (invites.Link, error) {
	l, err := one(ctx, s.db, inviteLinkFields, query, arg)
	if err == nil {
		l.Rooms, err = all(ctx, s.db, value[id.RoomID], selectLinkRooms, l.ID)
	}
	return l, err
}

// LinksOf returns links which have not ended, the newest first, without the links of letters.
func (s Links) LinksOf(ctx context.Context, q invites.LinkQuery) ([]invites.Link, error) {
	part := int64(0)
	if q.Room != "" {
		part = digest(string(q.Room))
	}
	list, err := all(ctx, s.db, inviteLinkFields, selectLinks, q.Maker, part, q.Now, q.Limit)
	for i := 0; i < len(list) && err == nil; i++ {
		list[i].Rooms, err = all(ctx, s.db, value[id.RoomID], selectLinkRooms, list[i].ID)
	}
	return list, err
}

// KnockKeys returns the public keys for the codes of knocks by a link.
func (s Links) KnockKeys(ctx context.Context, link int64) ([]string, error) {
	return all(ctx, s.db, value[string], selectKnockKeys, link)
}

// EndLink revokes a link.
func (s Links) EndLink(ctx context.Context, link int64, by id.UserID, at time.Time) error {
	return found(s.change(ctx, updateLinkEnded, link, at, by))
}

// DropLinkRoom takes a room from a link. A link without a room is revoked.
func (s Links) DropLinkRoom(ctx context.Context, link int64, r id.RoomID, by id.UserID, at time.Time) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		if _, err := t.exec(deleteLinkRoom, link, digest(string(r))); err != nil {
			return err
		}
		var left []id.RoomID
		err := t.query(appendTo(&left, value[id.RoomID]), selectLinkRooms, link)
		if err == nil && len(left) == 0 {
			_, err = t.exec(updateLinkEnded, link, at, by)
		}
		return err
	})
}

// TakeLink records the use of a link by a user, or returns the use recorded before; fresh tells which. ErrUsedUp: no use is left, or the link
// has ended. Of several users at the same time, no more than the link has uses left get one.
func (s Links) TakeLink(ctx context.Context, u invites.LinkUse) (use invites.LinkUse, fresh bool, err error) {
	part := digest(string(u.Target))
	err = s.write.commit(ctx, plain, func(t *tx) error {
		use, fresh = invites.LinkUse{}, false
		var used int64
		if err := t.query(into(&used, value[int64]), updateLinkUsed, u.Link, u.At); err != nil {
			return err
		}
		if err := t.query(into(&use, useFields), selectLinkUseOf, u.Link, part); err != nil {
			return err
		}
		switch {
		case use.ID != 0 && used > 0:
			_, err := t.exec(updateLinkUnused, u.Link)
			return err
		case use.ID != 0:
			return nil
		case used == 0:
			return invites.ErrUsedUp
		}
		if _, err := t.exec(insertLinkUse, u.Link, part, u.Target, u.Ticket, used, u.At); err != nil {
			return err
		}
		fresh = true
		return t.query(into(&use, useFields), selectLinkUseOf, u.Link, part)
	})
	return use, fresh, err
}

// GiveLinkBack takes a use back: it led to nothing.
func (s Links) GiveLinkBack(ctx context.Context, u invites.LinkUse) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		n, err := t.exec(deleteLinkUse, u.ID)
		if err == nil && n > 0 {
			_, err = t.exec(updateLinkUnused, u.Link)
		}
		return err
	})
}

// LinkUseOf returns the use of a link with a ticket, or ErrNotFound.
func (s Links) LinkUseOf(ctx context.Context, link int64, ticket string) (invites.LinkUse, error) {
	return one(ctx, s.db, useFields, selectLinkUse, link, ticket)
}

// LinkUses returns the uses of a link, the newest first.
func (s Links) LinkUses(ctx context.Context, link int64, limit int) ([]invites.LinkUse, error) {
	return all(ctx, s.db, useFields, selectLinkUses, link, limit)
}

// CleanLinks deletes links that ended before a time.
func (s Links) CleanLinks(ctx context.Context, before time.Time) error {
	return s.deleteAll(ctx, deleteLinks, before)
}
