package store

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// roomLocks are the advisory locks under which replicas on PostgreSQL keep a room's order. They belong to a session of their
// own: if this process or its connection dies, the server lets go of them.
type roomLocks struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	conn *pgx.Conn
	era  int // counts connections
}

const (
	roomSpace = 0x7573                // the first key of these locks; the second is a hash of the room
	lockPoll  = 50 * time.Millisecond // how often a lock that another replica has is asked for again
)

// HoldLane waits until no other replica works on a room, and has others wait until release is called. On SQLite there are no
// others. Within this process it does not exclude anybody.
func (s *Store) HoldLane(ctx context.Context, r id.RoomID) (release func(), err error) {
	if s.rooms == nil {
		return func() {}, nil
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r))
	key := int32(h.Sum32())
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		held, era, err := s.rooms.try(ctx, key)
		if err != nil {
			return nil, err
		}
		if held {
			return func() { s.rooms.release(key, era) }, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// bound is how long one statement may take.
const bound = 5 * time.Second

// try takes a lock if it is free, and says on which connection.
func (l *roomLocks) try(ctx context.Context, key int32) (held bool, era int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound) // cancelling a statement would cost the connection, and all locks
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		conn, err := connect(ctx, l.config)
		if err != nil {
			return false, 0, err // the one that is gone stays: somebody may still let go of what was held on it
		}
		l.conn = conn
		l.era++
	}
	err = l.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, roomSpace, key).Scan(&held)
	return held, l.era, err
}

// release lets go of a lock, unless it went with its connection.
func (l *roomLocks) release(key int32, era int) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if era != l.era || l.conn.IsClosed() {
		return
	}
	if _, err := l.conn.Exec(ctx, `SELECT pg_advisory_unlock($1::int, $2::int)`, roomSpace, key); err != nil {
		_ = l.conn.Close(ctx) // with all its locks, rather than keep one for ever
	}
}

// close lets go of everything.
func (l *roomLocks) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	return l.conn.Close(ctx)
}

// Shared reports whether other replicas may work on this database.
func (s *Store) Shared() bool { return s.rooms != nil }

const (
	keyColumns   = `seq, event_id, room_id, sender, type, state_key, received_at`
	selectBefore = `SELECT ` + keyColumns + ` FROM inbox WHERE NOT handled AND answer = '' AND room_id = $1 AND seq < $2 ORDER BY seq`
	selectLeft   = `SELECT ` + keyColumns + ` FROM inbox WHERE NOT handled AND received_at < $1 ORDER BY seq LIMIT $2`
)

func keyFields(e *invites.Received) []any {
	return []any{&e.Seq, &e.Event, &e.Room, &e.Sender, &e.Type, &e.StateKey, &e.ReceivedAt}
}

// WaitingBefore returns the keys of a room's events that came before seq and were neither handled nor answered.
func (s *Store) WaitingBefore(ctx context.Context, r id.RoomID, seq int64) ([]invites.Received, error) {
	return all(ctx, s.db, keyFields, selectBefore, r, seq)
}

// LeftBehind returns the keys of up to limit events that arrived before a time and are not handled, by Seq.
func (s *Store) LeftBehind(ctx context.Context, before time.Time, limit int) ([]invites.Received, error) {
	return all(ctx, s.db, keyFields, selectLeft, before, limit)
}
