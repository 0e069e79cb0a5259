package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	sessionColumns = `hash, kind, user_id, created_at, expires_at`

	insertSession = `INSERT INTO session (` + sessionColumns + `, part) VALUES ($1, $2, $3, $4, $5, $6)`
	// Beyond the newest ones of a person.
	deleteOldSessions = `DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE part = $1 AND kind = $2 ORDER BY created_at DESC, hash LIMIT 1000 OFFSET $3)`
	selectSession     = `SELECT ` + sessionColumns + ` FROM session WHERE hash = $1 AND kind = $2 AND expires_at > $3`
	takeSession       = `DELETE FROM session WHERE hash = $1 AND kind = $2 AND expires_at > $3 RETURNING user_id`
	deleteSession     = `DELETE FROM session WHERE hash = $1`
	deleteSessionsOf  = `DELETE FROM session WHERE part = $1 AND user_id = $2`
	deleteSessions    = `DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`
)

// sessionFields are the fields of sessionColumns.
func sessionFields(s *invites.Session) []any {
	return []any{&s.Hash, &s.Kind, &s.User, &s.CreatedAt, &s.ExpiresAt}
}

// addSession adds a session, and ends the oldest ones of its person and kind beyond most.
func addSession(t *tx, s invites.Session, most int) error {
	part := digest(string(s.User))
	if _, err := t.exec(insertSession, append(sessionFields(&s), part)...); err != nil {
		return err
	}
	_, err := t.exec(deleteOldSessions, part, s.Kind, most)
	return err
}

// AddSession adds a session, and ends the oldest ones of its person and kind beyond most.
func (s People) AddSession(ctx context.Context, session invites.Session, most int) error {
	return s.write.commit(ctx, plain, func(t *tx) error { return addSession(t, session, most) })
}

// SessionOf returns the session of a hash that has not ended by now, or ErrNotFound.
func (s People) SessionOf(ctx context.Context, kind invites.SessionKind, hash string, now time.Time) (invites.Session, error) {
	return one(ctx, s.db, sessionFields, selectSession, hash, kind, now)
}

// Enter ends a login that has not ended, and adds a session of its person in the same commit, which it returns. Of several callers at the same
// time one gets a session, the others ErrNotFound.
func (s People) Enter(ctx context.Context, login string, session invites.Session, most int) (invites.Session, error) {
	err := s.write.commit(ctx, plain, func(t *tx) error {
		session.User = ""
		if err := t.query(into(&session.User, value[id.UserID]), takeSession, login, invites.SessionLogin, session.CreatedAt); err != nil {
			return err
		}
		if session.User == "" {
			return invites.ErrNotFound
		}
		return addSession(t, session, most)
	})
	return session, err
}

// EndSession ends one session.
func (s People) EndSession(ctx context.Context, hash string) error {
	_, err := s.change(ctx, deleteSession, hash)
	return err
}

// EndSessions ends all sessions and logins of a person, and returns how many there were.
func (s People) EndSessions(ctx context.Context, user id.UserID) (int64, error) {
	return s.change(ctx, deleteSessionsOf, digest(string(user)), user)
}

// CleanSessions deletes sessions that have ended.
func (s People) CleanSessions(ctx context.Context, now time.Time) error {
	return s.deleteAll(ctx, deleteSessions, now)
}
