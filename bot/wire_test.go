package bot

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/store"
	"usher/store/pgtest"
)

// newSharedWire is a wire on a database of its own, to which there are two connections.
func newSharedWire(t *testing.T) *wire {
	t.Helper()
	pg, err := pgtest.Start()
	pgtest.Need(t, err)
	t.Cleanup(func() { _ = pg.Stop() })
	s, err := store.Open(t.Context(), store.Config{Type: "postgres", URI: pg.Database(t), MaxOpenConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return newWire(s, zerolog.Nop())
}

// TestLostMark: a mark that was told while nobody listened, and could not be told again when somebody did, keeps nobody waiting.
func TestLostMark(t *testing.T) {
	w := newSharedWire(t)
	begun, lost := make(chan struct{}), false
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		_ = w.store.Listen(ctx, func() { close(begun) }, func(text string) {
			var m message
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Error(err)
			}
			if lost {
				w.passed(m.Words[0][1])
			}
			lost = true
		})
	}()
	<-begun
	if err := w.caughtUp(ctx); err != nil {
		t.Error(err)
	}
}

// TestTellingEnds: a database that does not answer does not keep those waiting who have something to tell, whoever's turn it is.
func TestTellingEnds(t *testing.T) {
	w := newSharedWire(t)
	w.bound = 50 * time.Millisecond
	var conns []interface{ Release() }
	for range 2 {
		conn, err := w.store.Pool().Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	release := sync.OnceFunc(func() { conns[0].Release(); conns[1].Release() })
	defer release()
	w.say(wordSpaces)
	ended := make(chan error, 1)
	go func() { ended <- w.flush(context.Background()) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for ever")
	}
	release()
	if err := w.flush(t.Context()); err != nil || len(w.words) != 0 {
		t.Errorf("not told later: %v", err)
	}
}
