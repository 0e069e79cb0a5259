package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/util/dbutil"

	"usher/invites"
)

// Reader reads a database while another process may write. It takes no lock and changes nothing.
type Reader struct {
	db    *db
	inbox Inbox
	audit AuditLog
}

// OpenReader opens an existing database, of this program's version or an older one. Its errors are as for Open, except ErrLocked.
func OpenReader(ctx context.Context, cfg Config) (*Reader, error) {
	dialect, err := dbutil.ParseDialect(cfg.Type)
	if err != nil {
		return nil, fmt.Errorf("%w: type %q is neither sqlite nor postgres", ErrURI, cfg.Type)
	}
	d := &db{dialect: dialect}
	if dialect == dbutil.SQLite {
		err = d.readSQLite(ctx, cfg)
	} else {
		err = d.readPostgres(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &Reader{d, Inbox{d}, AuditLog{d}}, nil
}

func (s *db) readSQLite(ctx context.Context, cfg Config) error {
	file, err := parseSQLite(cfg.URI)
	if err != nil {
		return err
	}
	if file.path == "" {
		return fmt.Errorf("%w: a database in memory has no other readers", ErrURI)
	}
	if _, err := os.Stat(file.path); err != nil { // SQLite would create the file
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if s.raw, err = s.openHandle(file.dsn(reading), 1, 1); err != nil {
		return err
	}
	s.reads = handle{db: s.raw}
	if err := s.raw.PingContext(ctx); err != nil {
		return sqliteOpenError(err)
	}
	return nil
}

func (s *db) readPostgres(ctx context.Context, cfg Config) error {
	pc, err := pgxpool.ParseConfig(cfg.URI)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrURI, err)
	}
	pc.MaxConns = 1
	pc.ConnConfig.RuntimeParams["application_name"] = owner + " audit"
	pc.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	s.onClose(func() error { s.pool.Close(); return nil })
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	s.raw = stdlib.OpenDBFromPool(s.pool)
	s.onClose(s.raw.Close)
	s.reads = handle{db: s.raw}
	return nil
}

// EachAudit calls found for each audit row of the query, the oldest first. It ends with an error of found.
func (r *Reader) EachAudit(ctx context.Context, q invites.AuditQuery, found func(invites.Audit) error) error {
	return r.audit.eachAudit(ctx, q, found)
}

// Quarantined returns all events in quarantine, newest first.
func (r *Reader) Quarantined(ctx context.Context) ([]invites.Undecodable, error) {
	return r.inbox.Quarantined(ctx, maxQuarantined)
}

// Close closes the database.
func (r *Reader) Close() error { return r.db.Close() }
