package encryption

import (
	"context"
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// TestTurns: of many waiting goroutines of one room and one of another room, the other room's is second at the latest.
func TestTurns(t *testing.T) {
	var l turns
	if err := l.lock(t.Context(), "!busy"); err != nil {
		t.Fatal(err)
	}
	order := make(chan id.RoomID, 100)
	wait := func(r id.RoomID, waiting int) {
		go func() {
			if err := l.lock(t.Context(), r); err != nil {
				t.Error(err)
			}
			order <- r
			l.unlock()
		}()
		for {
			l.mu.Lock()
			n := len(l.waiting[r])
			l.mu.Unlock()
			if n == waiting {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	for i := range 50 {
		wait("!busy", i+1)
	}
	wait("!quiet", 1)
	l.unlock()
	if first, second := <-order, <-order; first != "!quiet" && second != "!quiet" {
		t.Errorf("%s and %s come before the quiet room", first, second)
	}
	for range 49 {
		<-order
	}
	if err := l.lock(t.Context(), "!busy"); err != nil || len(l.order)+len(l.waiting) != 0 {
		t.Errorf("%v, left: %v %v", err, l.order, l.waiting)
	}
}

// TestTurnsHonourContext: a goroutine whose context ends leaves, and the lock is not lost with it.
func TestTurnsHonourContext(t *testing.T) {
	var l turns
	if err := l.lock(t.Context(), "!a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for _, r := range []id.RoomID{"!a", "!b"} {
		if err := l.lock(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	l.unlock()
	for range 1000 { // the end of the context meets the grant
		ctx, cancel := context.WithCancel(t.Context())
		if err := l.lock(t.Context(), "!a"); err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			err := l.lock(ctx, "!b")
			if err == nil {
				l.unlock()
			}
			got <- err
		}()
		go cancel()
		l.unlock()
		<-got
	}
	if err := l.lock(t.Context(), "!a"); err != nil || len(l.order)+len(l.waiting) != 0 {
		t.Errorf("%v, left: %v %v", err, l.order, l.waiting)
	}
}
