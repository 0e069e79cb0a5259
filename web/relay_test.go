package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRelay: a relay passes a request on whole, with its own secret and the address of the client.
func TestRelay(t *testing.T) {
	var got *http.Request
	var body string
	relay := NewRelay(transport(func(r *http.Request) (*http.Response, error) {
		got = r
		again, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(again)
		body = string(raw)
		switch r.URL.Path {
		case "/gone":
			return nil, errors.New("nobody is active")
		case "/busy":
			return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: 418, Header: http.Header{"X-Kept": {"yes"}}, Body: io.NopCloser(strings.NewReader("tea"))}, nil
	}), "secret", nil, zerolog.Nop())
	ask := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader("hello"))
		r.Header.Set(RelayHeader, "a guess")
		r.Header.Set("Authorization", "Bearer own")
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		w := httptest.NewRecorder()
		relay.ServeHTTP(w, r)
		return w
	}
	w := ask("/tea")
	if w.Code != 418 || w.Body.String() != "tea" || w.Header().Get("X-Kept") != "yes" {
		t.Error(w.Code, w.Body, w.Header())
	}
	if body != "hello" || got.Header.Get("Authorization") != "Bearer own" || strings.Join(got.Header[RelayHeader], ",") != "secret" ||
		!strings.HasPrefix(got.Header.Get("X-Forwarded-For"), "192.0.2.7, ") {
		t.Error(body, got.Header)
	}
	if !Relayed(got, "secret") || Relayed(got, "other") || Relayed(httptest.NewRequest("GET", "/", nil), "") {
		t.Error("a relayed request is not told from others")
	}
	for _, path := range []string{"/gone", "/busy"} {
		if w := ask(path); w.Code != 503 {
			t.Error(path, w.Code)
		}
	}
}
