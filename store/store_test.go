package store_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"usher/invites"
	"usher/room"
	"usher/store"
	"usher/store/pgtest"
	"usher/store/storetest"
)

// server is the PostgreSQL server of this test binary, started by the first test that wants it.
var server = sync.OnceValues(pgtest.Start)

func TestMain(m *testing.M) {
	if os.Getenv(childFile) != "" {
		child()
	}
	code := m.Run()
	if s, err := server(); err == nil {
		s.Stop()
	}
	os.Exit(code)
}

func open(t testing.TB, typ, uri string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Type: typ, URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sqliteStore(t testing.TB) *store.Store {
	return open(t, "sqlite", filepath.Join(t.TempDir(), "usher.db"))
}

func postgresStore(t testing.TB) *store.Store {
	s, err := server()
	pgtest.Need(t, err)
	return open(t, "postgres", s.Database(t))
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return sqliteStore(t) })
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, "sqlite", ":memory:") })
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return postgresStore(t) })
}

// TestInviting asks for what is open of a command, without the joins that follow from it.
func TestInviting(t *testing.T) {
	for name, s := range map[string]*store.Store{"sqlite": sqliteStore(t), "postgres": postgresStore(t)} {
		inviting := func(want bool) {
			t.Helper()
			if got, err := s.Inviting(t.Context(), "$c"); err != nil || got != want {
				t.Errorf("%s: %v %v, want %v", name, got, err, want)
			}
		}
		inviting(false)
		rows, err := s.Record(t.Context(), []invites.Change{
			{Request: "$c", Command: "$c", Action: room.Invite, Target: "@a:b", Status: invites.StatusOpen, Attempt: 1, LeasedUntil: time.UnixMilli(1)},
			{Request: "$c", Command: "$c", Action: room.Invite, Target: "@c:d", Status: invites.StatusRefused},
			{Request: "$c", Command: "$c", Action: room.Join, Target: "@a:b", Status: invites.StatusOpen},
			{Request: "$d", Command: "$d", Action: room.Invite, Target: "@a:b", Status: invites.StatusWaiting},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		inviting(true)
		if err := s.Settle(t.Context(), invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.StatusDone}); err != nil {
			t.Fatal(err)
		}
		inviting(false)
		if waiting, err := s.Inviting(t.Context(), "$d"); err != nil || !waiting {
			t.Errorf("%s: one that waits for approval is not open: %v", name, err)
		}
	}
}
