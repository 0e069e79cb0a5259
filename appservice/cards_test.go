package appservice

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// TestManyVotes: however many react to a card, each costs as little as the first.
func TestManyVotes(t *testing.T) {
	c := NewCards()
	c.Open("$card")
	begun := time.Now()
	for i := range 200_000 {
		vote := id.EventID(fmt.Sprintf("$reaction%07d", i))
		if c.Vote("$card", vote); !c.has(vote) {
			t.Fatal("not noted")
		}
		if i%10_000 == 0 && time.Since(begun) > 10*time.Second {
			t.Fatalf("%d votes take %v", i, time.Since(begun))
		}
	}
	c.Open("$card", "$reaction0000000") // again
	if n := len(c.open["$card"]); n != 200_000 {
		t.Errorf("%d are known", n)
	}
	if !c.Close("$card") || c.Close("$card") || len(c.open)+len(c.votes) != 0 {
		t.Errorf("left are %d and %d", len(c.open), len(c.votes))
	}
}
