package homeserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// granted reports whether a request may begin at once.
func granted(s *shares, c claim) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.take(ctx, c)
	return err == nil
}

// TestShares fills the shares of slow rooms and of dead servers, and looks what others still get.
func TestShares(t *testing.T) {
	for name, tt := range map[string]struct {
		fill []claim
		want map[claim]bool
	}{
		"slow rooms": {
			[]claim{{room: "!a"}, {room: "!b"}, {room: "!c"}, {room: "!d"}, {room: "!e"}, {room: "!f"}},
			map[claim]bool{{room: "!a"}: false, {room: "!z"}: true, {server: "x", actor: "@a"}: true},
		},
		"one dead server": {
			[]claim{{server: "dead", actor: "@a"}, {server: "dead", actor: "@b"}},
			map[claim]bool{{server: "dead", actor: "@c"}: false, {server: "x", actor: "@a"}: true, {room: "!a"}: true},
		},
		"dead servers of one actor": {
			[]claim{{server: "dead1", actor: "@a"}, {server: "dead2", actor: "@a"}, {server: "dead3", actor: "@a"}},
			map[claim]bool{{server: "x", actor: "@a"}: false, {server: "x", actor: "@b"}: true},
		},
		"dead servers of all": {
			[]claim{{server: "d1"}, {server: "d2"}, {server: "d3"}, {server: "d4"}, {server: "d5"}, {server: "d6"}},
			map[claim]bool{{server: "x"}: false, {room: "!a"}: true, {}: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShares(64)
			for range 20 {
				for _, c := range tt.fill {
					granted(s, c)
				}
			}
			for c, want := range tt.want {
				if got := granted(s, c); got != want {
					t.Errorf("%+v: %v", c, got)
				}
			}
		})
	}
}

// TestSlowRoomGetsOne: a room that was slow last has one request under way, and is quick again after a quick one.
func TestSlowRoomGetsOne(t *testing.T) {
	s, c := newShares(64), claim{room: "!a"}
	granted(s, c)
	s.give(c, 3*time.Second)
	if !granted(s, c) || granted(s, c) {
		t.Error("a slow room has no request, or two")
	}
	s.give(c, time.Millisecond)
	for range 2 {
		if !granted(s, c) {
			t.Error("a quick room has not two")
		}
	}
}

// TestShareIsWaitedFor grants what is given back to those who wait, and says why others waited in vain.
func TestShareIsWaitedFor(t *testing.T) {
	s, c := newShares(64), claim{server: "x"}
	for range perServer {
		if !granted(s, c) {
			t.Fatal("not granted")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if crowded, err := s.take(ctx, c); !crowded || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(crowded, err)
	}
	done := make(chan error)
	go func() {
		_, err := s.take(t.Context(), c)
		done <- err
	}()
	time.Sleep(10 * time.Millisecond)
	s.give(c, 0)
	if err := <-done; err != nil || fmt.Sprint(s.servers) != "map[x:4]" || s.waiting.Len() > 0 {
		t.Error(err, s.servers, s.waiting.Len())
	}
}
