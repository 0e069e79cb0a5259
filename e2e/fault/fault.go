// Package fault is what may become of a request to a homeserver instead of its answer. The stub homeserver and the tap before
// real ones do it.
package fault

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Fault is what becomes of requests instead of an answer. Of the faults set, the first that matches applies.
type Fault struct {
	Method, Suffix string // of the requests, their path's end; empty: any
	In             string // part of their path, such as a room id; empty: any
	From           int    // how many of those that match are left alone first
	Times          int    // how many are hit; 0: all

	After   bool          // it is served, and only its answer is lost
	Latency time.Duration // before anything else
	Status  int           // of an answer without serving it
	Header  http.Header   // of that answer
	Body    string        // of that answer
	Reset   bool          // the connection is cut instead of an answer
	Half    bool          // half of the answer, then a cut
	Serve   bool          // after Latency, it is served as always
	Call    func()        // called when it hits, before everything; it may block
	Limit   *Limit        // it hits only who asks too often, with a 429

	met int
}

// Script holds the faults set. The zero value has none.
type Script struct {
	mu     sync.Mutex
	faults []*Fault
}

// Set sets the faults from now on, in place of those before.
func (s *Script) Set(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

// Add sets one more fault.
func (s *Script) Add(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Unmet counts the faults that no request has met yet.
func (s *Script) Unmet() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.met <= f.From {
			n++
		}
	}
	return n
}

// pick returns the fault of a request, or nil.
func (s *Script) pick(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if (f.Method != "" && f.Method != r.Method) || !strings.HasSuffix(r.URL.Path, f.Suffix) || !strings.Contains(r.URL.Path, f.In) {
			continue
		}
		f.met++
		if f.met > f.From && (f.Times == 0 || f.met <= f.From+f.Times) {
			return f
		}
	}
	return nil
}

// Serve does to a request what the script says, or has next serve it.
func (s *Script) Serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f := s.pick(r)
	if f == nil || f.Limit.passes() {
		next.ServeHTTP(w, r)
		return
	}
	served := httptest.NewRecorder()
	if f.After {
		next.ServeHTTP(served, r)
	} else if !f.Serve {
		_, _ = io.Copy(io.Discard, r.Body) // else the server would not notice that the other side is gone
	}
	if f.Call != nil {
		f.Call()
	}
	if f.Latency > 0 {
		timer := time.NewTimer(f.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	switch {
	case f.Limit != nil:
		f.Limit.refuse(w)
	case f.Serve:
		next.ServeHTTP(w, r)
	case f.Half:
		text := f.Body
		if text == "" {
			text = served.Body.String() + `{"user_id":"@usher:`
		}
		w.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(w, text[:len(text)/2])
		panic(http.ErrAbortHandler)
	case f.Reset || f.Status == 0:
		panic(http.ErrAbortHandler)
	default:
		for name, values := range f.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	}
}
