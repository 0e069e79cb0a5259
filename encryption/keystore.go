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

// keyStore is the library's store, watched: the library only logs when keys can't be saved or read, and goes on; here that
// undoes the step, so that it is tried again.
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

// note keeps the first fault.
func (s *keyStore) note(err error) error {
	if err != nil && !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fault = errors.Join(s.fault, err)
	}
	return err
}

// took returns the fault since it was last asked for.
func (s *keyStore) took() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fault
	s.fault = nil
	return err
}

// once runs a step in one transaction: all that it saves is kept, or nothing.
func (s *keyStore) once(ctx context.Context, step func(context.Context)) error {
	_ = s.took()
	err := s.keys.Transaction(ctx, func(ctx context.Context) error {
		step(ctx)
		return s.took()
	})
	if err != nil {
		s.InitFields() // sessions in memory are ahead of the database
		s.Account = nil
	}
	return err
}

// The methods below do as the library's, and note faults.

// PutAccount implements crypto.Store.
func (s *keyStore) PutAccount(ctx context.Context, account *crypto.OlmAccount) error {
	return s.note(s.SQLCryptoStore.PutAccount(ctx, account))
}

// GetOlmHash implements crypto.Store. It is the first thing that the library does with a message once it has its own lock;
// to have the database's before would be a deadlock with whoever has the library's lock and waits for the database.
func (s *keyStore) GetOlmHash(ctx context.Context, hash [32]byte) (time.Time, error) {
	if err := s.note(s.keys.Lock(ctx)); err != nil {
		return time.Time{}, err
	}
	at, err := s.SQLCryptoStore.GetOlmHash(ctx, hash)
	return at, s.note(err)
}

// PutOlmHash implements crypto.Store.
func (s *keyStore) PutOlmHash(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.note(s.SQLCryptoStore.PutOlmHash(ctx, hash, at))
}

// GetSessions implements crypto.Store.
func (s *keyStore) GetSessions(ctx context.Context, key id.SenderKey) (crypto.OlmSessionList, error) {
	list, err := s.SQLCryptoStore.GetSessions(ctx, key)
	return list, s.note(err)
}

// AddSession implements crypto.Store.
func (s *keyStore) AddSession(ctx context.Context, key id.SenderKey, session *crypto.OlmSession) error {
	return s.note(s.SQLCryptoStore.AddSession(ctx, key, session))
}

// UpdateSession implements crypto.Store.
func (s *keyStore) UpdateSession(ctx context.Context, key id.SenderKey, session *crypto.OlmSession) error {
	return s.note(s.SQLCryptoStore.UpdateSession(ctx, key, session))
}

// PutGroupSession implements crypto.Store.
func (s *keyStore) PutGroupSession(ctx context.Context, session *crypto.InboundGroupSession) error {
	return s.note(s.SQLCryptoStore.PutGroupSession(ctx, session))
}

// GetGroupSession implements crypto.Store.
func (s *keyStore) GetGroupSession(ctx context.Context, r id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	found, err := s.SQLCryptoStore.GetGroupSession(ctx, r, session)
	return found, s.note(err)
}

// PutWithheldGroupSession implements crypto.Store.
func (s *keyStore) PutWithheldGroupSession(ctx context.Context, content event.RoomKeyWithheldEventContent) error {
	return s.note(s.SQLCryptoStore.PutWithheldGroupSession(ctx, content))
}

// ValidateMessageIndex implements crypto.Store.
func (s *keyStore) ValidateMessageIndex(ctx context.Context, session id.SessionID, event id.EventID, index uint, at int64) (bool, error) {
	ok, err := s.SQLCryptoStore.ValidateMessageIndex(ctx, session, event, index, at)
	return ok, s.note(err)
}
