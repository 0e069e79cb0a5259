package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

// TestSiteLimits: a body has a limit, a bug ends one request only, and requests beyond the limit are answered at once.
func TestSiteLimits(t *testing.T) {
	s := New(Options{Log: zerolog.Nop(), Antispam: &Antispam{Token: "secret"}})
	hold := make(chan struct{})
	s.routes.HandleFunc("POST /size", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	s.routes.HandleFunc("GET /bug", func(http.ResponseWriter, *http.Request) { panic("a bug") })
	entered := make(chan struct{}, maxRequests)
	s.routes.HandleFunc("GET /hold", func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-hold })
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/size", "x", 200}, {"POST", "/size", strings.Repeat("x", maxBody+1), 413}, {"GET", "/bug", "", 500},
		{"GET", "/elsewhere", "", 404}, {"PUT", "/size", "", 405},
	} {
		w := ask(tt.method, tt.path, tt.body)
		if w.Code != tt.status || w.Header().Get("X-Content-Type-Options") == "" || w.Header().Get("Cache-Control") == "" {
			t.Errorf("%s %s is answered %d with %v", tt.method, tt.path, w.Code, w.Header())
		}
	}
	var held sync.WaitGroup
	for range maxRequests {
		held.Go(func() { ask("GET", "/hold", "") })
		<-entered
	}
	if w := ask("POST", "/size", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Error("one request too many is answered", w.Code)
	}
	for token, status := range map[string]int{"secret": 200, "wrong": 503} {
		r, w := httptest.NewRequest("POST", "/_usher/antispam/ping", strings.NewReader("{}")), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+token)
		if s.ServeHTTP(w, r); w.Code != status {
			t.Errorf("beside as many visitors, a callback with the token %q is answered %d", token, w.Code)
		}
	}
	close(hold)
	held.Wait()
	if w := ask("POST", "/size", ""); w.Code != 200 {
		t.Error("slots are not given back:", w.Code)
	}
	s.Drain()
	if w := ask("POST", "/size", ""); w.Code != 503 {
		t.Error("a site that ends answers", w.Code)
	}
}
