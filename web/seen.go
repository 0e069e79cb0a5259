package web

import (
	"net/http"
	"sync"
	"time"
)

// seen is when each callback last came, by name.
type seen struct {
	mu sync.Mutex
	at map[string]time.Time
}

// maxSeen bounds the names.
const maxSeen = 32

func (s *seen) note(callback string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string]time.Time{}
	}
	if _, known := s.at[callback]; known || len(s.at) < maxSeen {
		s.at[callback] = at
	}
}

// serveSeen tells whoever has the token when each callback last came, for usher doctor.
func (a *Antispam) serveSeen(w http.ResponseWriter, r *http.Request) {
	if !authorized(w, r, a.Token) {
		return
	}
	a.seen.mu.Lock()
	defer a.seen.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"seen": a.seen.at})
}
