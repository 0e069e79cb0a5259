package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
)

// Upgrade is an upgrade of a later version of the program.
type Upgrade struct {
	SQL        string
	Compatible bool // with this version
}

// UpgradeNext upgrades the schema like the start of a later version.
func (s *db) UpgradeNext(ctx context.Context, next ...Upgrade) error {
	table := schema()
	known := len(table)
	for _, u := range next {
		compat := 0 // with none before
		if u.Compatible {
			compat = known
		}
		table = table.WithRaw(-1, len(table)+1, compat, "next", dbutil.TxnModeOn, func(ctx context.Context, db *dbutil.Database) error {
			_, err := db.Exec(ctx, u.SQL)
			return err
		})
	}
	return s.upgrade(ctx, table.Finish())
}

// Commit commits a write that does do.
func (s *Store) Commit(ctx context.Context, do func()) error {
	return s.write.commit(ctx, plain, func(*tx) error {
		do()
		return nil
	})
}

// TakeoverPause is the time that a process has to notice the loss of its session.
const TakeoverPause = takeoverPause

// Versions is the number of the last version of the schema.
func Versions() int { return len(schema()) }

// MakeOld makes the tables of an earlier version of the schema in an empty database and runs statements there.
func MakeOld(ctx context.Context, cfg Config, version int, statements ...string) (err error) {
	d := &db{}
	if cfg.Type == "postgres" {
		d.dialect = dbutil.Postgres
		d.raw, err = sql.Open("pgx", cfg.URI)
	} else {
		d.dialect = dbutil.SQLite
		d.raw, err = sql.Open("sqlite", cfg.URI)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.raw.Close()) }()
	if err := d.upgrade(ctx, schema()[:version].Finish()); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := d.raw.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%w: %s", err, statement)
		}
	}
	return nil
}

// Digest is the key of a command's rows.
func Digest(command string) int64 { return digest(command) }

// ForgetChain has the next commit read the end of the audit, like the first one after a start.
func (s *db) ForgetChain() {
	if g, shared := s.write.(*group); shared {
		g.chain = nil
	}
}

// CommitAudited commits a write as those with audit rows are.
func (s *Store) CommitAudited(ctx context.Context, do func()) error {
	return s.write.commit(ctx, audited, func(*tx) error {
		do()
		return nil
	})
}

// QueuedWrites returns how many writes with audit rows wait for the next commit.
func (s *Store) QueuedWrites() int {
	g, ok := s.write.(*group)
	if !ok {
		g = &s.write.(*postgres).audited
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
