package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/store"
	"usher/store/pgtest"
)

// chained is a store with an audit, its database for changes past the store, and its settings.
type chained struct {
	*store.Store
	raw *sql.DB
	cfg store.Config
}

// chains runs a test on both databases.
func chains(t *testing.T, test func(t *testing.T, c chained)) {
	t.Run("sqlite", func(t *testing.T) {
		cfg := store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "usher.db")}
		s := open(t, cfg.Type, cfg.URI)
		test(t, chained{s, s.SQL(), cfg})
	})
	t.Run("postgres", func(t *testing.T) {
		server, err := server()
		pgtest.Need(t, err)
		cfg := store.Config{Type: "postgres", URI: server.Database(t)}
		s := open(t, cfg.Type, cfg.URI)
		raw := stdlib.OpenDBFromPool(s.Pool())
		t.Cleanup(func() { _ = raw.Close() })
		test(t, chained{s, raw, cfg})
	})
}

// moment is when the audit of a chain begins.
var moment = time.UnixMilli(1_700_000_000_000)

// write records one decision and one effect for each number.
func (c chained) write(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := c.record(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
}

func (c chained) record(ctx context.Context, n int) error {
	row := invites.Change{Request: fmt.Sprint("$c", n), Action: room.Invite, Room: "!r:x", Target: id.UserID(fmt.Sprintf("@t%d:x", n)), Actor: "@a:x", Performer: "@p:x"}
	at := moment.Add(time.Duration(n) * time.Minute)
	_, err := c.Record(ctx, nil, []invites.Audit{
		invites.AuditOf(row, invites.AuditDecision, "allow", "code", "$policy", at), invites.AuditOf(row, invites.AuditEffect, "done", "done", "", at),
	})
	return err
}

func (c chained) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := c.raw.ExecContext(t.Context(), query); err != nil {
		t.Fatal(query, err)
	}
	c.ForgetChain() // nobody else writes to a SQLite file while it is open
}

// verify reads the chain beside the store.
func (c chained) verify(t *testing.T, look string) store.Chain {
	t.Helper()
	r, err := store.OpenReader(t.Context(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.VerifyAudit(t.Context(), look)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return found
}

// whole checks that the chain holds so many rows.
func (c chained) whole(t *testing.T, rows int64) {
	t.Helper()
	if got := c.verify(t, ""); got.Rows != rows || got.Broken != 0 || got.Cut {
		t.Errorf("chain %+v, want %d rows", got, rows)
	}
}

// TestChainTampered: whatever is changed, added or taken away past the store shows.
func TestChainTampered(t *testing.T) {
	chains(t, func(t *testing.T, c chained) {
		c.write(t, 0, 4) // rows 1 to 8
		c.whole(t, 8)
		for _, tt := range []struct{ change, mend string }{
			{`UPDATE audit SET at = at + 1 WHERE id = 3`, `UPDATE audit SET at = at - 1 WHERE id = 3`},
			{`UPDATE audit SET kind = 'vote' WHERE id = 3`, `UPDATE audit SET kind = 'decision' WHERE id = 3`},
			{`UPDATE audit SET action = 'join' WHERE id = 3`, `UPDATE audit SET action = 'invite' WHERE id = 3`},
			{`UPDATE audit SET room_id = '!s:x' WHERE id = 3`, `UPDATE audit SET room_id = '!r:x' WHERE id = 3`},
			{`UPDATE audit SET actor = '@b:x' WHERE id = 3`, `UPDATE audit SET actor = '@a:x' WHERE id = 3`},
			{`UPDATE audit SET actor = '@a:x@p', performer = ':x' WHERE id = 3`, `UPDATE audit SET actor = '@a:x', performer = '@p:x' WHERE id = 3`},
			{`UPDATE audit SET target = '@t2:x' WHERE id = 3`, `UPDATE audit SET target = '@t1:x' WHERE id = 3`},
			{`UPDATE audit SET verdict = 'deny' WHERE id = 3`, `UPDATE audit SET verdict = 'allow' WHERE id = 3`},
			{`UPDATE audit SET code = '' WHERE id = 3`, `UPDATE audit SET code = 'code' WHERE id = 3`},
			{`UPDATE audit SET policy = '' WHERE id = 3`, `UPDATE audit SET policy = '$policy' WHERE id = 3`},
			{`UPDATE audit SET command = '$c2' WHERE id = 3`, `UPDATE audit SET command = '$c1' WHERE id = 3`},
			{`UPDATE audit SET code = '', hash = NULL WHERE id = 3`, `UPDATE audit SET code = 'code' WHERE id = 3`},
			{`UPDATE audit SET code = '' WHERE id = 8`, `UPDATE audit SET code = 'done' WHERE id = 8`},
			{`UPDATE audit_chain SET base = 'x'`, `UPDATE audit_chain SET base = ''`},
		} {
			c.exec(t, tt.change)
			if got := c.verify(t, ""); got.Broken == 0 && !got.Cut {
				t.Errorf("%s: not noticed", tt.change)
			}
			c.exec(t, tt.mend)
			c.whole(t, 8)
		}
		head := c.verify(t, "").Head
		c.exec(t, `DELETE FROM audit WHERE id = 8`)
		if got := c.verify(t, ""); !got.Cut {
			t.Errorf("the last row is gone: %+v", got)
		}
		c.exec(t, `UPDATE audit_chain SET last = 7, hash = (SELECT hash FROM audit WHERE id = 7)`) // as somebody who knows how
		if got := c.verify(t, head); got.Found || got.Broken != 0 || got.Cut {
			t.Errorf("the hash from the log is found although its row is gone: %+v", got)
		}
		c.exec(t, `DELETE FROM audit WHERE id = 5`)
		if got := c.verify(t, ""); got.Broken != 6 {
			t.Errorf("broken at %d, want 6", got.Broken)
		}
	})
}

// TestChainTogether: commits side by side, also failing ones, and decisions written twice make one chain.
func TestChainTogether(t *testing.T) {
	chains(t, func(t *testing.T, c chained) {
		var all sync.WaitGroup
		for n := range 60 {
			all.Go(func() {
				if err := errors.Join(c.record(t.Context(), n), c.record(t.Context(), n)); err != nil { // the second one writes the effect only
					t.Error(err)
				}
				settled := c.Settle(t.Context(), invites.Settlement{ID: 1 << 40, Attempt: 1, Audit: []invites.Audit{{Kind: invites.AuditEffect}}})
				if !errors.Is(settled, invites.ErrFenced) {
					t.Error(settled)
				}
			})
		}
		all.Wait()
		c.whole(t, 180)
	})
}

// TestChainKept: rows deleted by age leave a chain that can be verified, down to the last row.
func TestChainKept(t *testing.T) {
	chains(t, func(t *testing.T, c chained) {
		c.write(t, 0, 10)
		logged := c.verify(t, "").Head
		c.write(t, 10, 12)
		for _, step := range []struct {
			minutes int
			rows    int64
		}{{0, 24}, {5, 14}, {10, 4}} {
			if err := c.CleanRecords(t.Context(), time.Time{}, moment.Add(time.Duration(step.minutes)*time.Minute)); err != nil {
				t.Fatal(err)
			}
			c.whole(t, step.rows)
		}
		if got := c.verify(t, logged); !got.Found {
			t.Error("the hash of the last deleted row is not found")
		}
		if err := c.CleanRecords(t.Context(), time.Time{}, moment.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		c.whole(t, 0)
		c.write(t, 12, 13)
		c.whole(t, 2)
		if got := c.verify(t, c.verify(t, "").Head); !got.Found || !got.First.Equal(moment.Add(12*time.Minute)) || !got.Last.Equal(got.First) {
			t.Errorf("found %+v", got)
		}
	})
}

// TestChainAdopts: rows of an earlier version join the chain, at the start or with the next commit, also when they are deleted by age.
func TestChainAdopts(t *testing.T) {
	chains(t, func(t *testing.T, c chained) {
		c.write(t, 0, 3)
		c.exec(t, `UPDATE audit SET hash = NULL`)
		c.exec(t, `UPDATE audit_chain SET last = 0, hash = '', base = ''`) // as after the upgrade of the schema
		c.whole(t, 0)
		c.write(t, 3, 4)
		c.whole(t, 8)
		c.exec(t, `INSERT INTO audit (cmd, part, at, kind, action, room_id, actor, performer, target, verdict, code, policy, command)
			SELECT cmd, NULL, at, kind, action, room_id, actor, performer, target, verdict, code, policy, command FROM audit WHERE id = 1`)
		c.whole(t, 8) // of an earlier version that runs meanwhile
		c.write(t, 4, 5)
		c.whole(t, 11)
		c.exec(t, `UPDATE audit SET code = 'x' WHERE id = 1`)
		if got := c.verify(t, ""); got.Broken == 0 {
			t.Error("a changed row of an earlier version is not noticed")
		}
		c.exec(t, `UPDATE audit SET code = 'code' WHERE id = 1`)
		if err := c.CleanRecords(t.Context(), time.Time{}, moment.Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
		c.whole(t, 7)
	})
}
