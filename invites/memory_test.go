package invites

import (
	"context"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// outside is a homeserver where the bot is in no room.
type outside struct{ Homeserver }

func (outside) Snapshot(context.Context, id.RoomID, id.UserID, []room.Key, bool) (*room.Snapshot, error) {
	return nil, ErrNoView
}

func (outside) Collect(context.Context, id.RoomID, []string, bool) ([]StateChange, bool, error) {
	return nil, false, ErrNoView
}

// TestListsThatCannotBeRead: policies name whatever rooms they like; those that the bot can't read are not remembered.
func TestListsThatCannotBeRead(t *testing.T) {
	s := &Service{Homeserver: outside{}}
	p := policy.Merge()
	for n := range 500 {
		p.Document.Whom.Lists = append(p.Document.Whom.Lists, id.RoomID(fmt.Sprintf("!%d", n)))
	}
	for _, line := range s.Lists(t.Context(), p, "@carol:here") {
		if line.Err == nil {
			t.Fatalf("%+v", line)
		}
	}
	if n := len(s.memory.lists); n > 0 {
		t.Errorf("%d lists are remembered", n)
	}
}

// crowded is a store with many knocks.
type crowded struct{ Store }

func (crowded) Knocked(_ context.Context, _ id.RoomID, _ time.Time, limit int) ([]Card, error) {
	return make([]Card, min(limit, 90_000)), nil
}

// TestBreakerOfMany: a breaker that takes many knocks breaks, too.
func TestBreakerOfMany(t *testing.T) {
	s := &Service{Store: crowded{}}
	for _, count := range []int64{1, 999, 1000, 1001, 50_000} {
		paused, first, err := s.breaker(t.Context(), Knock{Event: "$k"}, policy.Rate{Count: count, Per: time.Hour}, time.Time{})
		if !paused || !first || err != nil {
			t.Errorf("%d: %t %t %v", count, paused, first, err)
		}
	}
}
