package encryption

import (
	"context"
	"errors"
	"sync"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/store"
)

// keyStore is the library's store with errors collected. The library logs an error of the store and goes on. The session asks for
// the error after each step and undoes the step, so it is tried again.
type keyStore struct {
	*crypto.SQLCryptoStore
	keys *store.Keys
	now  func() time.Time

	mu    sync.Mutex
	fault error

	// The fields below belong to the step under the device's lock.
	replaced map[id.IdentityKey]bool     // devices to make a new Olm session with, though there is one
	olm      struct{ read, opened bool } // of the last Olm message: it is no repetition; it was decrypted
	stranger id.UserID                   // sender of the message, if a stranger: its rows are kept as store.Stray
}

var _ crypto.Store = (*keyStore)(nil)

func newKeyStore(keys *store.Keys, pickleKey string, now func() time.Time) *keyStore {
	return &keyStore{
		SQLCryptoStore: crypto.NewSQLCryptoStore(keys.DB, nil, "", "", []byte(pickleKey)), keys: keys, now: now, replaced: map[id.IdentityKey]bool{},
	}
}

// replace has the next message to a device sent by a new Olm session.
func (s *keyStore) replace(key id.IdentityKey) {
	if len(s.replaced) >= maxRepairs {
		clear(s.replaced)
	}
	s.replaced[key] = true
}

// Bounds of the rows of strangers.
var strayLimits = map[store.StrayKind]store.StrayLimits{
	store.StrayKey:      {Sender: 10, Server: 50, All: 1000},
	store.StrayOlm:      {Sender: 5, Server: 50, All: 1000},
	store.StrayWithheld: {Sender: 100, Server: 1000, All: 5000},
}

// How long such rows are kept.
var strayAge = map[store.StrayKind]time.Duration{
	store.StrayKey: time.Hour, store.StrayOlm: 24 * time.Hour, store.StrayWithheld: 7 * 24 * time.Hour,
}

// noteStray records a row caused by a stranger's message.
func (s *keyStore) noteStray(ctx context.Context, kind store.StrayKind, session id.SessionID, sender id.UserID) error {
	return s.noteFault(s.keys.SaveStray(ctx, store.Stray{Kind: kind, ID: session, Sender: sender, ReceivedAt: s.now()}, strayLimits[kind]))
}

// dropStrays deletes the old rows of strangers.
func (s *keyStore) dropStrays(ctx context.Context, now time.Time) error {
	for kind, age := range strayAge {
		if err := s.keys.DropStrays(ctx, kind, now.Add(-age)); err != nil {
			return err
		}
	}
	s.InitFields() // the library's cache of Olm sessions has dropped ones
	return nil
}

// HasSession implements crypto.Store. The library's method trusts its cache, which may have a deleted session.
func (s *keyStore) HasSession(ctx context.Context, key id.SenderKey) bool {
	if s.replaced[key] {
		return false
	}
	session, err := s.SQLCryptoStore.GetLatestSession(ctx, key)
	return s.noteFault(err) == nil && session != nil
}

// GetNewestSessionCreationTS implements crypto.Store. The library calls it from a goroutine of its own before it repairs an Olm session
// outside of the device's lock. The answer prevents this: intake.repair makes repairs.
func (s *keyStore) GetNewestSessionCreationTS(context.Context, id.SenderKey) (time.Time, error) {
	return s.now(), nil
}

// noteFault collects an error, and returns it.
func (s *keyStore) noteFault(err error) error {
	if err != nil && !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fault = errors.Join(s.fault, err)
	}
	return err
}

// takeFault returns the errors since the last call.
func (s *keyStore) takeFault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fault
	s.fault = nil
	return err
}

// inTransaction runs a step in one transaction, which a collected error rolls back.
func (s *keyStore) inTransaction(ctx context.Context, step func(context.Context)) error {
	_ = s.takeFault()
	err := s.keys.Transaction(ctx, func(ctx context.Context) error {
		step(ctx)
		return s.takeFault()
	})
	if err != nil {
		s.InitFields() // sessions in memory are ahead of the database
		s.Account = nil
	}
	return err
}

// The methods below are the library's, with errors collected.

// PutAccount implements crypto.Store.
func (s *keyStore) PutAccount(ctx context.Context, account *crypto.OlmAccount) error {
	return s.noteFault(s.SQLCryptoStore.PutAccount(ctx, account))
}

// GetOlmHash implements crypto.Store. The library calls it first for a message, after it has taken its own lock. The lock of the
// database has to be taken after the library's lock: another goroutine may hold the library's lock and wait for the database.
func (s *keyStore) GetOlmHash(ctx context.Context, hash [32]byte) (time.Time, error) {
	if err := s.noteFault(s.keys.Lock(ctx)); err != nil {
		return time.Time{}, err
	}
	at, err := s.SQLCryptoStore.GetOlmHash(ctx, hash)
	s.olm.read = err == nil && at.IsZero()
	return at, s.noteFault(err)
}

// PutOlmHash implements crypto.Store.
func (s *keyStore) PutOlmHash(ctx context.Context, hash [32]byte, at time.Time) error {
	s.olm.opened = true
	return s.noteFault(s.SQLCryptoStore.PutOlmHash(ctx, hash, at))
}

// GetSessions implements crypto.Store.
func (s *keyStore) GetSessions(ctx context.Context, key id.SenderKey) (crypto.OlmSessionList, error) {
	list, err := s.SQLCryptoStore.GetSessions(ctx, key)
	return list, s.noteFault(err)
}

// AddSession implements crypto.Store.
func (s *keyStore) AddSession(ctx context.Context, key id.SenderKey, session *crypto.OlmSession) error {
	delete(s.replaced, key)
	err := s.noteFault(s.SQLCryptoStore.AddSession(ctx, key, session))
	if s.stranger != "" && err == nil {
		err = s.noteStray(ctx, store.StrayOlm, session.ID(), s.stranger)
	}
	return err
}

// UpdateSession implements crypto.Store.
func (s *keyStore) UpdateSession(ctx context.Context, key id.SenderKey, session *crypto.OlmSession) error {
	return s.noteFault(s.SQLCryptoStore.UpdateSession(ctx, key, session))
}

// PutGroupSession implements crypto.Store.
func (s *keyStore) PutGroupSession(ctx context.Context, session *crypto.InboundGroupSession) error {
	err := s.noteFault(s.SQLCryptoStore.PutGroupSession(ctx, session))
	if s.stranger != "" && err == nil && session.SourceUser == s.stranger {
		err = s.noteStray(ctx, store.StrayKey, session.ID(), s.stranger)
	}
	return err
}

// GetGroupSession implements crypto.Store.
func (s *keyStore) GetGroupSession(ctx context.Context, r id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	found, err := s.SQLCryptoStore.GetGroupSession(ctx, r, session)
	return found, s.noteFault(err)
}

// PutWithheldGroupSession implements crypto.Store.
func (s *keyStore) PutWithheldGroupSession(ctx context.Context, content event.RoomKeyWithheldEventContent) error {
	return s.noteFault(s.SQLCryptoStore.PutWithheldGroupSession(ctx, content))
}

// ValidateMessageIndex implements crypto.Store.
func (s *keyStore) ValidateMessageIndex(ctx context.Context, session id.SessionID, event id.EventID, index uint, at int64) (bool, error) {
	ok, err := s.SQLCryptoStore.ValidateMessageIndex(ctx, session, event, index, at)
	return ok, s.noteFault(err)
}
