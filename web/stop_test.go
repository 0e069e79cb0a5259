package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"usher/invites"
)

// blockList is the addresses of two tokens.
type blockList map[string]bool

// Blocked implements Unsubscribing.
func (b blockList) Blocked(_ context.Context, token string) (bool, error) {
	if token == "trouble" {
		return false, errors.New("no database")
	}
	blocked, known := b[token]
	if !known {
		return false, invites.ErrNotFound
	}
	return blocked, nil
}

// Block implements Unsubscribing.
func (b blockList) Block(ctx context.Context, token string, off bool) error {
	if _, err := b.Blocked(ctx, token); err != nil {
		return err
	}
	b[token] = !off
	return nil
}

func TestStop(t *testing.T) {
	list := blockList{"ann": false, "bea": true}
	pages := NewPages("https://usher.example/door", "mark")
	site := New(Options{Log: zerolog.Nop(), Pages: pages, Stop: NewStop(pages, list, Visitors{})})
	ask := func(method, token, form string, headers ...string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/u/"+token, strings.NewReader(form))
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		site.ServeHTTP(w, r)
		return w
	}
	for _, tt := range []struct {
		name, method, token, form string
		headers                   []string
		status                    int
		says                      string
		blocked                   bool // ann, afterwards
	}{
		{"a look", http.MethodGet, "ann", "", nil, 200, "No more letters", false},
		{"a look at a blocked one", http.MethodGet, "bea", "", nil, 200, "You get no more letters", false},
		{"in German", http.MethodGet, "ann", "", []string{"Accept-Language", "de"}, 200, "Keine E-Mails mehr", false},
		{"another site's form", http.MethodPost, "ann", "way=stop", []string{"Origin", "https://evil.example"}, 403, "another site", false},
		{"a guess", http.MethodPost, "eve", "way=stop", nil, 404, "not complete", false},
		{"trouble", http.MethodPost, "trouble", "way=stop", nil, 503, "try again", false},
		{"a mail program's button", http.MethodPost, "ann", "List-Unsubscribe=One-Click", nil, 200, "You get no more letters", true},
		{"twice", http.MethodPost, "ann", "List-Unsubscribe=One-Click", nil, 200, "You get no more letters", true},
		{"the page's button", http.MethodPost, "ann", "way=back", []string{"Origin", "https://usher.example"}, 200, "You can get letters", false},
		{"the other one", http.MethodPost, "ann", "way=stop", []string{"Sec-Fetch-Site", "same-origin"}, 200, "Get letters again", true},
	} {
		w := ask(tt.method, tt.token, tt.form, tt.headers...)
		if body := w.Body.String(); w.Code != tt.status || !strings.Contains(body, tt.says) || list["ann"] != tt.blocked {
			t.Errorf("%s: %d, blocked %v\n%s", tt.name, w.Code, list["ann"], body)
		}
		if w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-store" || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %v", tt.name, w.Header())
		}
	}
	for range 200 {
		if w := ask(http.MethodGet, "guess", ""); w.Code == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("no limit for guesses")
}
