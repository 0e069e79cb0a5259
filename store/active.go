package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotActive means: another process has become the active one, and nothing was committed.
var ErrNotActive = errors.New("another process is active")

const (
	activeSpace = 0x7575                 // the first key of the lock of the active process; the second is a hash of the schema's name
	activePoll  = 250 * time.Millisecond // pause between two tries to take the lock
	activeCheck = time.Second            // pause between two checks of the session with the lock
	sessionTime = 3 * time.Second        // bound of one statement of the session
	// takeoverPause is the time between the end of one active process and the begin of the next one. A process that loses its
	// session, but lives, needs a moment to notice the loss and to stop.
	takeoverPause = time.Second
)

// Processes of releases before this one shared the work. Their connections have this application name, and they take this lock,
// exclusively, when they start.
const (
	sharingName = "usher"
	sharingLock = 0x7573686572
)

// Active is the right of this process to act on the database. It lasts as long as one session of the database server, which holds
// an advisory lock. On SQLite it lasts until Close, since the file belongs to one process.
type Active struct {
	db   *db
	conn *pgx.Conn // nil on SQLite
}

// AwaitActive waits until no other process acts on the database, and makes this process the active one. The caller calls Close
// when it has stopped to act. An error means: the database can't be asked.
//
// A process of a release before this one never acts beside the active one: it does not get past its start while there is an
// active process (sharingLock), and none becomes active while such a process is connected (sharingName).
func (s *Store) AwaitActive(ctx context.Context) (*Active, error) {
	if s.pool == nil {
		return &Active{db: s.db}, nil
	}
	conn, err := connect(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	if err := awaitLock(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	var term int64
	if err := s.pool.QueryRow(ctx, `UPDATE active_process SET term = term + 1, address = '' WHERE id = 1 RETURNING term`).Scan(&term); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("beginning to act: %w", err)
	}
	s.db.term.Store(term)
	return &Active{db: s.db, conn: conn}, nil
}

// awaitLock takes the lock of the active process as soon as it is free.
func awaitLock(ctx context.Context, conn *pgx.Conn) error {
	for waited := false; ; waited = true {
		held, err := within(ctx, sessionTime, func(ctx context.Context) (bool, error) { return tryLock(ctx, conn) })
		pause := activePoll
		switch {
		case err != nil:
			return err
		case held && !waited:
			return nil
		case held:
			pause = takeoverPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if held {
			return nil
		}
	}
}

// tryLock takes the lock if it is free and no process of a release before this one is there.
func tryLock(ctx context.Context, conn *pgx.Conn) (held bool, err error) {
	const own = `$1::int, hashtext(current_schema())`
	var sharing bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1)`, sharingName).Scan(&sharing)
	if err != nil || sharing {
		return false, err
	}
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+own+`)`, activeSpace).Scan(&held); err != nil || !held {
		return false, err
	}
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock_shared($1::bigint)`, int64(sharingLock)).Scan(&held); err != nil || held {
		return held, err
	}
	_, err = conn.Exec(ctx, `SELECT pg_advisory_unlock(`+own+`)`, activeSpace)
	return false, err
}

// Watch watches the session with the lock. It returns ErrNotActive as soon as another process may be active: then this one
// has to stop at once. When ctx ends, it returns nil. One call at a time.
func (a *Active) Watch(ctx context.Context) error {
	if a.conn == nil {
		<-ctx.Done()
		return nil
	}
	for {
		// Nobody notifies: the wait ends at once when the connection breaks.
		_, err := within(ctx, activeCheck, a.conn.WaitForNotification)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil || !a.conn.IsClosed() {
			_, err = within(context.WithoutCancel(ctx), sessionTime, func(ctx context.Context) (struct{}, error) { return struct{}{}, a.conn.Ping(ctx) })
		}
		if err != nil {
			return ErrNotActive
		}
	}
}

// LocalAddr is the address from which this process reaches the database server; nil on SQLite.
func (a *Active) LocalAddr() net.Addr {
	if a.conn == nil {
		return nil
	}
	return a.conn.PgConn().Conn().LocalAddr()
}

// Announce publishes the address of this process, to which the others forward requests. ErrNotActive means: this process is
// not the active one any more.
func (a *Active) Announce(ctx context.Context, address string) error {
	n, err := a.db.change(ctx, `UPDATE active_process SET address = $2 WHERE id = 1 AND term = $1`, a.db.term.Load(), address)
	if err == nil && n == 0 {
		err = ErrNotActive
	}
	return err
}

// Close lets another process become the active one. Watch must have returned.
func (a *Active) Close() error {
	if a.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), sessionTime)
	defer cancel()
	return a.conn.Close(ctx) // and with the session, the lock
}

// ActiveAddress returns the address of the active process, empty while there is none. The process may have died since.
func (s *Store) ActiveAddress(ctx context.Context) (string, error) {
	return one(ctx, s.db, value[string], `SELECT address FROM active_process WHERE id = 1`)
}

// fence fails a commit of a formerly active process, and keeps the next one from becoming active until
// the commit is over.
func (d *db) fence(t *tx) error {
	term := d.term.Load()
	if term == 0 { // SQLite, or a process which never was active
		return nil
	}
	err := ErrNotActive
	if fault := t.query(func(row) error { err = nil; return nil }, `SELECT FROM active_process WHERE id = 1 AND term = $1 FOR SHARE`, term); fault != nil {
		return fault
	}
	return err
}

// connect opens a session outside the pool. The server notices within about ten seconds when this machine is gone.
func connect(ctx context.Context, like *pgx.ConnConfig) (*pgx.Conn, error) {
	config := like.Copy()
	for name, value := range map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	conn, err := within(ctx, sessionTime, func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, config) })
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return conn, nil
}

// within calls fn with a bound on its time.
func within[T any](ctx context.Context, bound time.Duration, fn func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return fn(ctx)
}
