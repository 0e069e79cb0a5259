package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

func receive(ctx context.Context, s *store.Store, n, bytes int) error {
	_, err := s.Receive(ctx, []invites.Received{{Event: id.EventID(fmt.Sprintf("$%d", n)), Raw: json.RawMessage(make([]byte, bytes))}})
	return err
}

// TestBusy has somebody else, as the queue does, hold the connection that writes: who waits may give up, alone.
func TestBusy(t *testing.T) {
	s := sqliteStore(t)
	tx, err := s.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	var patient, hasty sync.WaitGroup
	for n := range 20 {
		ctx, want, wg := t.Context(), error(nil), &patient
		if n%2 == 0 {
			ctx, want, wg = short, context.DeadlineExceeded, &hasty
		}
		wg.Go(func() {
			if err := receive(ctx, s, n, 1); !errors.Is(err, want) {
				t.Errorf("event %d: got %v, want %v", n, err, want)
			}
		})
	}
	hasty.Wait()
	if _, err := s.Waiting(t.Context()); err != nil {
		t.Errorf("reading waits for the writer: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	patient.Wait()
	if waiting, err := s.Waiting(t.Context()); err != nil || len(waiting) != 10 {
		t.Errorf("%d events wait, want 10; %v", len(waiting), err)
	}
}

// TestFull runs out of room: what does not fit fails, what was there stays, and all is well once there is room again.
func TestFull(t *testing.T) {
	s := sqliteStore(t)
	pages := func(n int) {
		if _, err := s.SQL().ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	pages(60)
	var mu sync.Mutex
	kept := map[int]bool{}
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			err := receive(t.Context(), s, n, 4000)
			mu.Lock()
			defer mu.Unlock()
			kept[n] = err == nil
		})
	}
	wg.Wait()
	for n, ok := range kept {
		_, err := s.Received(t.Context(), id.EventID(fmt.Sprintf("$%d", n)))
		if ok != (err == nil) {
			t.Errorf("event %d: said to be kept: %v; %v", n, ok, err)
		}
	}
	if err := receive(t.Context(), s, 1000, 1<<20); err == nil {
		t.Error("a megabyte fits into nothing")
	}
	pages(1 << 20)
	if err := receive(t.Context(), s, 1000, 1<<20); err != nil {
		t.Errorf("there is room again: %v", err)
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
