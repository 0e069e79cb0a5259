package chat

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	start := time.Unix(1700000000, 0)
	r := newLimit[string](3)
	for i, c := range []struct {
		key           string
		after         time.Duration
		allowed, tell bool
	}{
		{"a", 0, true, false},
		{"a", 0, true, false},
		{"a", time.Second, true, false},
		{"a", time.Second, false, true},
		{"a", 2 * time.Second, false, false},
		{"b", 2 * time.Second, true, false}, // others are no worse off
		{"a", 21 * time.Second, true, false},
		{"a", 21 * time.Second, false, false}, // told already
		{"a", 2 * time.Minute, true, false},
		{"a", 2 * time.Minute, true, false},
		{"a", 2 * time.Minute, true, false},
		{"a", 2 * time.Minute, false, true},  // kept quiet in between
		{"a", 1 * time.Minute, false, false}, // a straggler from before
		{"c", 10 * time.Minute, true, false},
		{"c", 1 * time.Minute, true, false}, // a straggler is no flood
		{"c", 1 * time.Minute, true, false},
		{"c", 1 * time.Minute, false, true}, // many are
	} {
		if allowed, tell := r.take(c.key, start.Add(c.after)); allowed != c.allowed || tell != c.tell {
			t.Errorf("%d: %s after %s: allowed %v, tell %v", i, c.key, c.after, allowed, tell)
		}
	}
	none := newLimit[string](0)
	for range 100 {
		if allowed, _ := none.take("a", start); !allowed {
			t.Fatal("0 is no limit")
		}
	}
}

func TestRateIsBounded(t *testing.T) {
	r := newLimit[int](1)
	at := time.Unix(1700000000, 0)
	for i := range 3 * maxMeters {
		if i == maxMeters {
			at = at.Add(time.Hour)
		}
		r.take(i, at)
		if r.meters.Len() > maxMeters {
			t.Fatalf("%d keys", r.meters.Len())
		}
	}
}
