package appservice

import (
	"sync"
	"time"
)

// Hearing knows for which times the homeserver held transactions back although this process could take them.
//
// A homeserver whose transaction failed sends the next one after a pause, which grows with each failure (Synapse: up to 512 s). So
// the first transaction after an outage comes later than the end of the outage. The age of a command does not count this pause,
// because nobody but the homeserver could make it shorter. The age counts the outage itself: a command from an outage of an hour is
// stale.
//
// The methods may be called from several goroutines.
type Hearing struct {
	mu     sync.Mutex
	able   time.Time // since then this process can take transactions, and none has come; zero: one has come, or none can be taken
	deaf   bool      // transactions can't be taken
	last   time.Time // the last transaction came
	called time.Time // the homeserver answered that it reached this process
	pauses []pause   // the last ones, by time
}

// pause is a time between the end of an outage and the first transaction after it.
type pause struct{ from, to time.Time }

const (
	maxPauses = 16
	flush     = 30 * time.Second // a homeserver that reached this process sends the transactions that it held back within this time
	maxPause  = 10 * time.Minute // a homeserver that sends nothing for longer has nothing to send: Synapse's longest pause is 512 s
)

// Able notes that this process can take transactions from now on. It changes nothing if the process could before.
func (h *Hearing) Able(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deaf || h.last.IsZero() && h.able.IsZero() {
		h.deaf, h.able = false, now
	}
}

// Unable notes that this process can't take transactions, or that the homeserver can't reach it.
func (h *Hearing) Unable() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf, h.able = true, time.Time{}
}

// Called notes that the homeserver has reached this process: its pause is over.
func (h *Hearing) Called(now time.Time) {
	h.Able(now)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.called.Before(h.able) {
		h.called = now
	}
}

// Heard notes that a transaction has come.
func (h *Hearing) Heard(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = now
	if h.able.IsZero() {
		return
	}
	if len(h.pauses) == maxPauses {
		h.pauses = h.pauses[1:]
	}
	to := earlier(now, h.able.Add(maxPause))
	if !h.called.Before(h.able) {
		to = earlier(to, h.called.Add(flush))
	}
	h.pauses = append(h.pauses, pause{h.able, to})
	h.able = time.Time{}
}

// Last returns when the last transaction came, the zero time if none has.
func (h *Hearing) Last() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Unheard returns how much of the time between the moment when an event was sent and its arrival is the homeserver's pause.
func (h *Hearing) Unheard(sent, arrived time.Time) (total time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pauses {
		from := p.from
		if from.Before(sent) {
			from = sent
		}
		total += max(0, earlier(p.to, arrived).Sub(from))
	}
	return total
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
