// Package sessions logs people in to the dashboard.
//
// Offer makes the secret of a link that logs in once, for a person who asked the bot for it in a direct chat. Enter trades it for the secret
// of a session, which the browser keeps. Find tells whose session a secret is, and End ends all sessions and open links of a person. The
// store has hashes of the secrets only.
//
// A session gives a browser no right beyond the person's own: each use case judges the person anew.
package sessions

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Store is the part of the store with the sessions. A missing or expired session is ErrNotFound.
type Store interface {
	// AddSession adds a session, and ends the oldest ones of its person and kind beyond most.
	AddSession(ctx context.Context, s invites.Session, most int) error
	// SessionOf returns the session of a hash that has not ended by now.
	SessionOf(ctx context.Context, kind invites.SessionKind, hash string, now time.Time) (invites.Session, error)
	// Enter ends a login that has not ended, and adds a session of its person in the same commit, which it returns.
	Enter(ctx context.Context, login string, s invites.Session, most int) (invites.Session, error)
	// EndSessions ends all sessions and logins of a person, and returns how many there were.
	EndSessions(ctx context.Context, user id.UserID) (int64, error)
	// EndSession ends one session.
	EndSession(ctx context.Context, hash string) error
}

// Sessions logs people in. Store and Clock are required.
type Sessions struct {
	Store   Store
	Clock   invites.Clock
	Address string // of the pages, without a slash at the end; empty: there is no dashboard
}

// How long links and sessions last, and how many a person has.
const (
	LoginFor     = 10 * time.Minute
	SessionFor   = 12 * time.Hour
	mostLogins   = 3
	mostSessions = 10
)

// Secret is the secret of a login or of a session. It is not kept.
type Secret string

// secretBytes is the length of a secret before its encoding: 192 bits.
const secretBytes = 24

func newSecret() Secret {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	return Secret(base64.RawURLEncoding.EncodeToString(b))
}

// derive makes a text of a secret for one purpose. It does not tell the secret.
func (s Secret) derive(purpose string) string {
	sum := sha256.Sum256([]byte("usher session " + purpose + "\x00" + string(s)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s Secret) hash() string { return s.derive("hash") }

// Form is the token for forms of a session: a page of another site doesn't know it.
func (s Secret) Form() string { return s.derive("form") }

// Offered reports whether there is a dashboard.
func (s *Sessions) Offered() bool { return s.Address != "" }

// Offer returns the address of a page that logs a person in once.
func (s *Sessions) Offer(ctx context.Context, user id.UserID) (address string, err error) {
	secret, now := newSecret(), s.Clock.Now()
	err = s.Store.AddSession(ctx, invites.Session{
		Hash: secret.hash(), Kind: invites.SessionLogin, User: user, CreatedAt: now, ExpiresAt: now.Add(LoginFor),
	}, mostLogins)
	return s.Address + "/login/" + string(secret), err
}

// Offers returns the person whom a login would log in, or ErrNotFound. It changes nothing.
func (s *Sessions) Offers(ctx context.Context, login Secret) (id.UserID, error) {
	found, err := s.Store.SessionOf(ctx, invites.SessionLogin, login.hash(), s.Clock.Now())
	return found.User, err
}

// Enter trades a login for a session, once: the error is ErrNotFound for everybody but the first.
func (s *Sessions) Enter(ctx context.Context, login Secret) (Secret, invites.Session, error) {
	secret, now := newSecret(), s.Clock.Now()
	session, err := s.Store.Enter(ctx, login.hash(), invites.Session{
		Hash: secret.hash(), Kind: invites.SessionBrowser, CreatedAt: now, ExpiresAt: now.Add(SessionFor),
	}, mostSessions)
	return secret, session, err
}

// Find returns the session of a secret, or ErrNotFound.
func (s *Sessions) Find(ctx context.Context, secret Secret) (invites.Session, error) {
	return s.Store.SessionOf(ctx, invites.SessionBrowser, secret.hash(), s.Clock.Now())
}

// Leave ends one session.
func (s *Sessions) Leave(ctx context.Context, secret Secret) error {
	return s.Store.EndSession(ctx, secret.hash())
}

// End ends all sessions and open logins of a person, and returns how many there were.
func (s *Sessions) End(ctx context.Context, user id.UserID) (int64, error) {
	return s.Store.EndSessions(ctx, user)
}
