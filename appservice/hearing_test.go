package appservice

import (
	"testing"
	"time"
)

// TestHearing: an age counts an outage of Usher's own, and not the homeserver's pause after it.
func TestHearing(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	var h Hearing
	h.Able(at(0)) // a start; the homeserver comes five minutes later
	h.Able(at(2)) // changes nothing
	h.Heard(at(5))
	h.Heard(at(6))
	h.Able(at(7)) // nothing was wrong
	h.Heard(at(20))
	h.Unable() // a full disk
	h.Heard(at(31))
	h.Able(at(32))
	h.Heard(at(50)) // nobody spoke meanwhile, or the longest pause
	h.Unable()
	h.Able(at(60)) // and goes on
	for _, c := range []struct {
		name          string
		sent, arrived time.Time
		want          float64
	}{
		{"before the start", at(-8), at(5.1), 5},
		{"during the pause", at(3), at(5.1), 2},
		{"after it", at(8), at(19), 0},
		{"a week before", at(-10_000), at(5.1), 5},
		{"while the disk was full", at(25), at(50), 10},
		{"over both", at(-1), at(50), 15},
		{"from the future", at(100), at(50), 0},
		{"still waiting", at(61), at(70), 0},
	} {
		if got := h.Unheard(c.sent, c.arrived); got != time.Duration(c.want*float64(time.Minute)) {
			t.Errorf("%s: %v, want %v minutes", c.name, got, c.want)
		}
	}
	if h.Last() != at(50) {
		t.Error(h.Last())
	}
	h.Called(at(60.5)) // by a ping; so nothing was held back for longer than a moment
	h.Called(at(70))
	h.Heard(at(75))
	if got := h.Unheard(at(55), at(75)); got != time.Minute {
		t.Errorf("after a ping: %v", got)
	}
	for range 1000 {
		h.Unable()
		h.Able(at(70))
		h.Heard(at(71))
	}
	if len(h.pauses) > maxPauses {
		t.Error(len(h.pauses), "pauses are kept")
	}
}
