package store_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

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
