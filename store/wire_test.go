package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"usher/store"
	"usher/store/pgtest"
)

// TestWire: what replicas tell is heard by all in one order, and a connection that breaks ends Listen.
func TestWire(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	uri := server.Database(t)
	one, other := open(t, "postgres", uri), open(t, "postgres", uri)
	ended := make(chan error, 2)
	heard := make([]chan string, 2)
	for i, s := range []*store.Store{one, other} {
		heard[i] = make(chan string, 300)
		begun := make(chan struct{})
		go func() {
			ended <- s.Listen(t.Context(), func() { close(begun) }, func(word string) { heard[i] <- word })
		}()
		<-begun
	}
	long := strings.Repeat("x", store.MaxWord-3)
	for n := range 100 {
		for _, s := range []*store.Store{one, other} {
			if err := s.Tell(t.Context(), fmt.Sprintf("%03d%s", n, long)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 200 {
		if a, b := <-heard[0], <-heard[1]; a != b || !strings.HasPrefix(a, fmt.Sprintf("%03d", n/2)) {
			t.Fatalf("heard %.10q and %.10q as word %d", a, b, n)
		}
	}
	if err := one.Tell(t.Context(), long+"1234"); err == nil {
		t.Error("a word that is too long was told")
	}
	if _, err := one.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("it listens to a connection that is gone")
		}
	}
	if err := sqliteStore(t).Tell(context.Background(), "x"); err != nil {
		t.Error(err)
	}
}
