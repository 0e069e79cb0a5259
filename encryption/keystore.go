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

	mu    sync.Mutex
	fault error
}

var _ crypto.Store = (*keyStore)(nil)

func newKeyStore(keys *store.Keys, pickleKey string) *keyStore {
	return &keyStore{SQLCryptoStore: crypto.NewSQLCryptoStore(keys.DB, nil, "", "", []byte(pickleKey)), keys: keys}
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

// The methods below are those of the library, with errors collected.

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
	return at, s.noteFault(err)
}

// PutOlmHash implements crypto.Store.
func (s *keyStore) PutOlmHash(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.noteFault(s.SQLCryptoStore.PutOlmHash(ctx, hash, at))
}

// GetSessions implements crypto.Store.
func (s *keyStore) GetSessions(ctx context.Context, key id.SenderKey) (crypto.OlmSessionList, error) {
	list, err := s.SQLCryptoStore.GetSessions(ctx, key)
	return list, s.noteFault(err)
}

// AddSession implements crypto.Store.
func (s *keyStore) AddSession(ctx context.Context, key id.SenderKey, session *crypto.OlmSession) error {
	return s.noteFault(s.SQLCryptoStore.AddSession(ctx, key, session))
}

// UpdateSession implements crypto.Store.
func (s *keyStore) UpdateSession(ctx context.Context, key id.SenderKey, session *crypto.OlmSession) error {
	return s.noteFault(s.SQLCryptoStore.UpdateSession(ctx, key, session))
}

// PutGroupSession implements crypto.Store.
func (s *keyStore) PutGroupSession(ctx context.Context, session *crypto.InboundGroupSession) error {
	return s.noteFault(s.SQLCryptoStore.PutGroupSession(ctx, session))
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
