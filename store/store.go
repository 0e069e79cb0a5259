// Package store is the database, on SQLite or PostgreSQL: the inbox of events, membership changes and their audit, the ledger of
// invitations seen, cards, quotas, guarded rooms, and undecodable events. One SQL serves both databases, and one suite
// (suite_test.go) tests both.
//
// Open returns a Store, which embeds one type a subject: Inbox, Changes, Cards and so on. They share one db. Each method is one
// commit, and durable when it returns.
//
// To add a method: write its SQL as a constant on top of the subject's file, and run it with
//
//   - one or all, to read. The fields function gives the destinations in the order of the columns;
//   - change, for one writing statement;
//   - s.write.commit, for several. Its function may run again, so it starts anew each time.
//
// Statements take and return plain Go values; values.go says which, and how they are kept. List a frequent statement in reads or
// writes (sqlite.go), which keep it compiled. Then promise it in suite_test.go.
//
// To change a table: add a file to upgrades. CONTRIBUTING.md, "Change the database", says which changes an older version survives.
//
// On SQLite one connection writes, and concurrent writers share a commit (group.go). On PostgreSQL the server does both.
//
// Keys is another database, for encryption keys. Reader reads a database opened by another process.
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

// owner marks the database of this program in its version table.
const owner = "usher"

// Errors of Open. Their text names the cause, never a password.
var (
	// ErrURI means Config does not name a database.
	ErrURI = errors.New("wrong database type or uri")
	// ErrUnreachable means the database cannot be opened or does not answer.
	ErrUnreachable = errors.New("database unreachable")
	// ErrLocked means another process uses the SQLite file.
	ErrLocked = errors.New("database is used by another process")
	// ErrNewer means a newer version of this program has upgraded the database.
	ErrNewer = errors.New("database was upgraded by a newer version")
	// ErrForeign means the database belongs to another program.
	ErrForeign = errors.New("database belongs to another program")
)

// Config names a database.
type Config struct {
	Type         string // "sqlite" or "postgres"
	URI          string // a path or file: URI; a postgres:// URI or key=value string
	MaxOpenConns int    // 0: 8
	MaxIdleConns int    // 0: 2; SQLite keeps connections used within the last minute
}

// db is an open database, shared by the types for the tables of one subject each.
type db struct {
	dialect dbutil.Dialect
	write   committer
	reads   handle
	costs   costs
	raw     *sql.DB       // the writing connection pool
	pool    *pgxpool.Pool // PostgreSQL only
	term    atomic.Int64  // of the active process: see fence
	ahead   int
	created bool
	closers []func() error
}

// The tables by subject. Each type shares the database of its Store.
type (
	// Inbox is the events received, until Clean, and the undecodable events.
	Inbox struct{ *db }
	// Changes is the membership changes to be made, with their audit.
	Changes struct{ *db }
	// Cards is the approvals and knocks put to a vote of members.
	Cards struct{ *db }
	// Ledger is the invitations seen in rooms.
	Ledger struct{ *db }
	// Expiries is the rules by which invitations of the ledger expire.
	Expiries struct{ *db }
	// Guards is the rooms watched by the guard.
	Guards struct{ *db }
	// Quotas is the invitations counted against quotas.
	Quotas struct{ *db }
	// Inbound is the entries about invitations to local users.
	Inbound struct{ *db }
	// Rooms is create events, which never change, and children of spaces, as hints.
	Rooms struct{ *db }
	// People is what people chose for themselves, and their logins to the dashboard.
	People struct{ *db }
	// AuditLog is the decisions and effects of the past.
	AuditLog struct{ *db }
	// Links is the invite links, with their uses.
	Links struct{ *db }
	// Plans is the runs of plans, and their notes on people.
	Plans struct{ *db }
	// Letters is the invitations by e-mail, and the addresses that get none.
	Letters struct{ *db }
	// Moves is the upgrades of rooms that are carried over.
	Moves struct{ *db }
	// Welcomes is the users to be welcomed.
	Welcomes struct{ *db }
	// SpaceWaits is the invitations that wait for somebody to join a space.
	SpaceWaits struct{ *db }
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
	Inbound
	Rooms
	People
	AuditLog
	Links
	Letters
	Moves
	Plans
	Welcomes
	SpaceWaits
}

// newStore returns a Store with subjects sharing d.
func newStore(d *db) *Store {
	return &Store{
		d, Inbox{d}, Changes{d}, Cards{d}, Ledger{d}, Expiries{d}, Guards{d}, Quotas{d}, Inbound{d}, Rooms{d}, People{d}, AuditLog{d}, Links{d}, Letters{d}, Moves{d}, Plans{d}, Welcomes{d}, SpaceWaits{d},
	}
}

// Open opens the database, creates or upgrades its schema, and locks a SQLite file for this process. Its errors are ErrURI,
// ErrUnreachable, ErrLocked, ErrNewer, ErrForeign, or the error of an upgrade.
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

// schema returns the upgrades for making the tables.
func schema() dbutil.WIPUpgradeTable {
	return dbutil.BuildUpgradeTable().WithFSPath(upgrades, "upgrades")
}

// upgrade brings the schema to the last version of an upgrade table. A newer schema stays as it is, if its upgrades allow programs
// of the table's version to use it.
func (s *db) upgrade(ctx context.Context, table dbutil.UpgradeTable) error {
	db, err := dbutil.NewWithDB(s.raw, s.dialect.String())
	if err != nil {
		return err
	}
	db.Owner = owner
	db.IgnoreForeignTables = false
	db.UpgradeTable = table
	err = s.Exclusively(ctx, func(ctx context.Context) error {
		there, err := db.TableExists(ctx, db.VersionTable)
		if err != nil {
			return err
		}
		s.created = !there
		return db.Upgrade(ctx)
	})
	switch {
	case errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion):
		return fmt.Errorf("%w: %w", ErrNewer, err)
	case errors.Is(err, dbutil.ErrNotOwned), errors.Is(err, dbutil.ErrForeignTables):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case err != nil:
		return err
	}
	var version int
	err = s.raw.QueryRowContext(ctx, `SELECT version FROM version`).Scan(&version)
	s.ahead = max(0, version-len(table))
	return err
}

// Ahead returns how many upgrades a newer version of this program has made. They allow this version to use the schema.
func (s *db) Ahead() int { return s.ahead }

// Created reports whether Open found no tables and made them.
func (s *db) Created() bool { return s.created }

// Costs returns how many statements the database was asked to run, and how many commits it has made durable.
func (s *db) Costs() (statements, commits int64) {
	return s.costs.statements.Load(), s.costs.commits.Load()
}

// Close closes the database.
func (s *db) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *db) onClose(f func() error) { s.closers = append(s.closers, f) }

// SQL returns the pool of the one writing connection to SQLite, or nil on PostgreSQL.
func (s *db) SQL() *sql.DB {
	if s.dialect != dbutil.SQLite {
		return nil
	}
	return s.raw
}

// Pool returns the connections to PostgreSQL, or nil on SQLite.
func (s *db) Pool() *pgxpool.Pool { return s.pool }

// Check looks for damage in the whole database, which takes some seconds for a large one. PostgreSQL is not checked.
func (s *db) Check(ctx context.Context) error {
	if s.dialect != dbutil.SQLite {
		return nil
	}
	var found string // the first finding
	if err := s.reads.db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return errors.New(found)
	}
	return nil
}

// Ping commits a row. It fails on a full disk, a read-only file or a lost server.
func (s *db) Ping(ctx context.Context) error {
	return s.write.commit(ctx, single, func(t *tx) error {
		_, err := t.exec(`UPDATE ping SET n = n + 1`)
		return err
	})
}
