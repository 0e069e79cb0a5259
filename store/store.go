// Package store keeps what must survive, on SQLite or PostgreSQL: the inbox, invitations, the audit trail, and what
// could not be decoded. One SQL serves both databases.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.mau.fi/util/dbutil"
)

//go:embed upgrades/*.sql
var upgrades embed.FS

// owner marks a database as ours, so that another program's is never touched.
const owner = "usher"

// Errors of Open. The text around them names the cause, never a password.
var (
	// ErrURI says that Config does not name a database.
	ErrURI = errors.New("wrong database type or uri")
	// ErrUnreachable says that the database cannot be opened or does not answer.
	ErrUnreachable = errors.New("database unreachable")
	// ErrLocked says that another process uses the SQLite file.
	ErrLocked = errors.New("database is used by another process")
	// ErrNewer says that a newer version of this program has upgraded the database.
	ErrNewer = errors.New("database was upgraded by a newer version")
	// ErrForeign says that the database belongs to another program.
	ErrForeign = errors.New("database belongs to another program")
)

// Config says which database to open.
type Config struct {
	Type         string // "sqlite" or "postgres"
	URI          string // a path or file: URI; a postgres:// URI or key=value string
	MaxOpenConns int    // 0: 8
	MaxIdleConns int    // 0: 2; SQLite keeps those used within a minute
}

// db is an open database, shared by the types that read and write the tables of one subject each.
type db struct {
	dialect dbutil.Dialect
	write   committer
	reads   handle
	raw     *sql.DB       // the connection pool that writes
	pool    *pgxpool.Pool // PostgreSQL only
	term    atomic.Int64  // of the active process: see fence
	ahead   int
	closers []func() error
}

// The tables by subject. Each type shares the database of its Store.
type (
	// Inbox is the events received and not yet forgotten, and the events that could not be decoded.
	Inbox struct{ *db }
	// Changes is the membership changes to be made, with their audit.
	Changes struct{ *db }
	// Cards is the approvals and knocks that people vote on.
	Cards struct{ *db }
	// Ledger is the invitations seen in rooms.
	Ledger struct{ *db }
	// Expiries is the rules by which invitations of the ledger expire.
	Expiries struct{ *db }
	// Guards is the rooms that the guard watches.
	Guards struct{ *db }
	// Quotas is what was spent of quotas.
	Quotas struct{ *db }
	// Rooms is what is known of rooms that never changes or is only a hint: create events and children of spaces.
	Rooms struct{ *db }
	// AuditLog is the decisions and effects written down.
	AuditLog struct{ *db }
)

// Store is an open database: all subjects together. It is safe for concurrent use.
type Store struct {
	*db
	Inbox
	Changes
	Cards
	Ledger
	Expiries
	Guards
	Quotas
	Rooms
	AuditLog
}

// newStore returns a Store whose subjects share d.
func newStore(d *db) *Store {
	return &Store{
		d, Inbox{d}, Changes{d}, Cards{d}, Ledger{d}, Expiries{d}, Guards{d}, Quotas{d}, Rooms{d}, AuditLog{d},
	}
}

// Open opens the database, creates or upgrades its schema, and takes a SQLite file for this process alone. Its errors
// are ErrURI, ErrUnreachable, ErrLocked, ErrNewer, ErrForeign, or what a failed upgrade says.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.MaxOpenConns <= 0 {
		cfg.MaxOpenConns = 8
	}
	if cfg.MaxIdleConns <= 0 {
		cfg.MaxIdleConns = 2
	}
	dialect, err := dbutil.ParseDialect(cfg.Type)
	if err != nil {
		return nil, fmt.Errorf("%w: type %q is neither sqlite nor postgres", ErrURI, cfg.Type)
	}
	d := &db{dialect: dialect}
	if dialect == dbutil.SQLite {
		err = d.openSQLite(ctx, cfg)
	} else {
		err = d.openPostgres(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return newStore(d), nil
}

// schema is how the tables came to be.
func schema() dbutil.WIPUpgradeTable {
	return dbutil.BuildUpgradeTable().WithFSPath(upgrades, "upgrades")
}

// upgrade brings the schema to the last version of a table. A schema that is newer stays as it is, where its upgrades say
// that programs of the table's version may go on with it.
func (s *db) upgrade(ctx context.Context, table dbutil.UpgradeTable) error {
	db, err := dbutil.NewWithDB(s.raw, s.dialect.String())
	if err != nil {
		return err
	}
	db.Owner = owner
	db.IgnoreForeignTables = false
	db.Log = schemaLog{db.Log, &s.ahead}
	db.UpgradeTable = table
	err = s.Exclusively(ctx, func(ctx context.Context) error { return db.Upgrade(ctx) })
	switch {
	case errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion):
		return fmt.Errorf("%w: %w", ErrNewer, err)
	case errors.Is(err, dbutil.ErrNotOwned), errors.Is(err, dbutil.ErrForeignTables):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}

// schemaLog notes by how many upgrades a schema is ahead of this program.
type schemaLog struct {
	dbutil.DatabaseLogger
	ahead *int
}

// PrepareUpgrade implements dbutil.DatabaseLogger.
func (l schemaLog) PrepareUpgrade(current, _, latest int) { *l.ahead = max(0, current-latest) }

// Ahead returns how many upgrades a newer version of this program has made of which this one knows nothing. It may go on
// all the same: they say so.
func (s *db) Ahead() int { return s.ahead }

// Close closes the database. Nothing may use the store any more.
func (s *db) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *db) onClose(f func() error) { s.closers = append(s.closers, f) }

// SQL returns the handle that writes to SQLite, one connection that all writers share, or nil on PostgreSQL.
func (s *db) SQL() *sql.DB {
	if s.dialect != dbutil.SQLite {
		return nil
	}
	return s.raw
}

// Pool returns the connections to PostgreSQL, or nil on SQLite.
func (s *db) Pool() *pgxpool.Pool { return s.pool }

// Ping commits a row, so that a full disk, a read-only file or a lost server shows.
func (s *db) Ping(ctx context.Context) error {
	return s.write.commit(ctx, single, func(t *tx) error {
		_, err := t.exec(`UPDATE ping SET n = n + 1`)
		return err
	})
}
