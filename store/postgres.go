package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgres opens the connections. The queue uses the same pool.
func (s *db) openPostgres(ctx context.Context, cfg Config) error {
	pc, err := pgxpool.ParseConfig(cfg.URI)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrURI, err)
	}
	pc.MaxConns = int32(max(2, cfg.MaxOpenConns)) // Exclusively holds one
	pc.MinIdleConns = int32(min(cfg.MaxIdleConns, cfg.MaxOpenConns))
	pc.ConnConfig.ConnectTimeout = cmp.Or(pc.ConnConfig.ConnectTimeout, 10*time.Second)
	params := pc.ConnConfig.RuntimeParams
	params["application_name"] = cmp.Or(params["application_name"], application)
	params["synchronous_commit"] = "on"                     // an event answered 200 survives a power cut, whatever the server's default
	params["idle_in_transaction_session_timeout"] = "10000" // ms; else a process frozen amid a commit would keep its locks from the next active one
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	s.onClose(func() error { s.pool.Close(); return nil })
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	s.raw = stdlib.OpenDBFromPool(s.pool)
	s.onClose(s.raw.Close)
	s.reads = handle{db: s.raw, costs: &s.costs}
	s.write = &postgres{s.raw, &s.costs, group{handle: handle{db: s.raw, costs: &s.costs}, maxRows: maxMulti, shared: true}}
	if err := s.upgrade(ctx, schema().Finish()); err != nil {
		return err
	}
	return s.chainAll(ctx)
}

// application is the name of Usher's connections at the database server.
const application = "usher-process"

// schemaLock is the advisory lock for changes of the schema.
const schemaLock = 0x7573686573

// Exclusively runs fn while no other process runs such a function. It is for changes of the schema.
func (s *db) Exclusively(ctx context.Context, fn func(context.Context) error) (err error) {
	if s.pool == nil {
		return fn(ctx) // takeFile has locked the file
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, schemaLock); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, schemaLock)
		err = errors.Join(err, unlockErr)
	}()
	return fn(ctx)
}

// postgres is PostgreSQL's committer. The server itself lets concurrent commits share a flush, except for those with audit rows: each holds the
// row of audit_chain until its flush is over. So these share a commit.
type postgres struct {
	db      *sql.DB
	costs   *costs
	audited group
}

// tries bounds the attempts at a commit after conflicts with other commits.
const tries = 5

// commit implements committer.
func (p *postgres) commit(ctx context.Context, k kind, fn func(*tx) error) (err error) {
	for range tries {
		switch k {
		case audited:
			err = p.audited.commit(ctx, k, fn)
		case single:
			t := &tx{ctx: ctx, on: p.db, costs: p.costs, maxRows: maxMulti}
			if err = p.costs.commit(fn(t)); err == nil && len(t.audit) > 0 {
				err = errors.New("store: audit in a commit of one statement")
			}
		default:
			err = p.transaction(ctx, fn)
		}
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || (pe.Code != "40001" && pe.Code != "40P01") { // serialization failure, deadlock
			return err
		}
	}
	return err
}

func (p *postgres) transaction(ctx context.Context, fn func(*tx) error) error {
	sqlTx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() // does nothing after the commit
	t := &tx{ctx: ctx, on: sqlTx, costs: p.costs, maxRows: maxMulti}
	if err := fn(t); err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	return p.costs.commit(sqlTx.Commit())
}
