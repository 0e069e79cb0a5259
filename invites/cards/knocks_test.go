package cards

import (
	"context"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
)

// crowded is a store with many knocks.
type crowded struct{ KnockStore }

func (crowded) Knocked(_ context.Context, _ id.RoomID, _ time.Time, limit int) ([]invites.Card, error) {
	return make([]invites.Card, min(limit, 90_000)), nil
}

// TestBreakerOfMany: a breaker that takes many knocks breaks, too.
func TestBreakerOfMany(t *testing.T) {
	s := &Knocks{Store: crowded{}}
	for _, count := range []int64{1, 999, 1000, 1001, 50_000} {
		paused, first, err := s.breaker(t.Context(), Knock{Event: "$k"}, policy.Rate{Count: count, Per: time.Hour}, time.Time{})
		if !paused || !first || err != nil {
			t.Errorf("%d: %t %t %v", count, paused, first, err)
		}
	}
}
