package fault

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Limit lets pass a number of requests at once, and so many in a second after that.
type Limit struct {
	PerSecond float64
	Burst     int

	mu      sync.Mutex
	count   float64 // of what passed since
	since   time.Time
	refused int
}

// passes counts a request, and tells whether it passes; without a limit, none does.
func (l *Limit) passes() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.count - time.Since(l.since).Seconds()*l.PerSecond
	if left < 0 {
		l.count, l.since, left = 0, time.Now(), 0
	}
	if left > float64(l.Burst-1) {
		l.refused++
		return false
	}
	l.count++
	return true
}

// refuse says when the next one passes.
func (l *Limit) refuse(w http.ResponseWriter) {
	l.mu.Lock()
	at := l.since.Add(time.Duration((l.count - float64(l.Burst) + 1) / l.PerSecond * float64(time.Second)))
	l.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = fmt.Fprintf(w, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":%d}`, max(0, time.Until(at).Milliseconds()))
}

// Refused counts the requests that did not pass.
func (l *Limit) Refused() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}
