package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher/store"
	"usher/store/pgtest"
)

// TestOneConnection: one connection, the least that may be configured, is enough to upgrade the schema, which takes a lock on a
// connection.
func TestOneConnection(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := store.Open(ctx, store.Config{Type: "postgres", URI: server.Database(t), MaxOpenConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Ping(ctx), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestServerLost cuts all connections to PostgreSQL: the store comes back by itself.
func TestServerLost(t *testing.T) {
	s := postgresStore(t)
	for n := range 5 {
		if err := receive(t.Context(), s, n, 1); err != nil {
			t.Fatal(err)
		}
		other := postgresStore(t)
		var database string
		if err := s.Pool().QueryRow(t.Context(), `SELECT current_database()`).Scan(&database); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database); err != nil {
			t.Fatal(err)
		}
		faults := 0
		for err := s.Ping(t.Context()); err != nil; err = s.Ping(t.Context()) {
			if faults++; faults > 10 {
				t.Fatalf("still lost: %v", err)
			}
		}
	}
}

// TestFrozenCommitEnds: the server ends a transaction whose process says nothing for ten seconds. A frozen process would otherwise keep
// its locks from the next active one.
func TestFrozenCommitEnds(t *testing.T) {
	var timeout string
	if err := postgresStore(t).Pool().QueryRow(t.Context(), `SHOW idle_in_transaction_session_timeout`).Scan(&timeout); err != nil || timeout != "10s" {
		t.Errorf("%q %v", timeout, err)
	}
}
