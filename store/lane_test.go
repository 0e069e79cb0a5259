package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher/store"
	"usher/store/pgtest"
)

// TestHoldLane: a room is held by one replica at a time, and is free again when that one lets go or dies.
func TestHoldLane(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	uri := server.Database(t)
	one, other := open(t, "postgres", uri), open(t, "postgres", uri)
	busy := func(s *store.Store) bool {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		release, err := s.HoldLane(ctx, "!a")
		if err == nil {
			release()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		return err != nil
	}
	release, err := one.HoldLane(t.Context(), "!a")
	if err != nil {
		t.Fatal(err)
	}
	if !busy(other) {
		t.Error("two hold one room")
	}
	if elsewhere, err := other.HoldLane(t.Context(), "!b"); err != nil {
		t.Error(err)
	} else {
		elsewhere()
	}
	release()
	if busy(other) {
		t.Error("it was not let go of")
	}
	if release, err = one.HoldLane(t.Context(), "!a"); err != nil {
		t.Fatal(err)
	}
	// As a server does to the sessions of a replica that died.
	if _, err := other.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`); err != nil {
		t.Fatal(err)
	}
	if busy(other) {
		t.Error("the dead still hold it")
	}
	release() // of what is lost
	if busy(one) {
		t.Error("it does not connect again")
	}
}

// TestHoldLaneServerLost: a room is let go of after the server was lost, and another room asked for in vain.
func TestHoldLaneServerLost(t *testing.T) {
	pg, err := pgtest.Start()
	pgtest.Need(t, err)
	t.Cleanup(func() { _ = pg.Stop() })
	s := open(t, "postgres", pg.Database(t))
	release, err := s.HoldLane(t.Context(), "!a")
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 { // the first finds that the connection is gone, the second that there is no other
		if _, err := s.HoldLane(ctx, "!b"); err == nil {
			t.Error("nobody could say so")
		}
	}
	release()
}

// TestOneConnection: the least that may be configured is enough to bring the schema up to date, which takes a lock on one connection.
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

func TestHoldLaneAlone(t *testing.T) {
	s := sqliteStore(t)
	for range 2 {
		if _, err := s.HoldLane(t.Context(), "!a"); err != nil {
			t.Error(err)
		}
	}
	if s.Shared() {
		t.Error("a SQLite file is nobody else's")
	}
}
