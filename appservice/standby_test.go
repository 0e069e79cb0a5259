package appservice

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// active is an active process that records the requests forwarded to it.
type active struct {
	*httptest.Server
	seen   []string
	bodies []string
	status int
}

func newActive(t *testing.T) *active {
	a := &active{status: http.StatusOK}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.seen = append(a.seen, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		a.bodies = append(a.bodies, string(body))
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, `{"by":"the active one"}`)
	}))
	t.Cleanup(a.Close)
	return a
}

// standby is a Standby with a log, and what it is told of the active process.
type standby struct {
	*Standby
	log     bytes.Buffer
	address atomic.Value
}

func newStandby(hold time.Duration) *standby {
	s := &standby{}
	s.address.Store("")
	s.Standby = NewStandby(StandbyOptions{
		Tokens: Tokens{HS: "hush", Query: true}, Active: func(context.Context) (string, error) { return s.address.Load().(string), nil }, MaxBody: 1000, Hold: hold,
		Ready: func() []string { return []string{"a fault"} }, Log: zerolog.New(&s.log),
	})
	return s
}

// ask makes a request of the homeserver.
func (s *standby) ask(method, path, token, body string, header ...string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestStandbyForwards: requests with the token reach the active process whole, and its answers come back; others are refused here.
func TestStandbyForwards(t *testing.T) {
	a, s := newActive(t), newStandby(time.Minute)
	s.address.Store(a.Listener.Addr().String())
	put := "/_matrix/app/v1/transactions/1"
	for _, c := range []struct {
		name, method, path, token, body string
		header                          []string
		status                          int
		forwarded                       bool
	}{
		{"a transaction", "PUT", put, "hush", `{"events":[]}`, nil, 200, true},
		{"a question", "GET", "/_matrix/app/v1/users/@a:b?x=y", "hush", "", nil, 200, true},
		{"the token in the query", "PUT", put + "?access_token=hush", "", "{}", nil, 200, true},
		{"no token", "PUT", put, "", "{}", nil, 401, false},
		{"a wrong token", "PUT", put, "hash", "{}", nil, 403, false},
		{"forwarded before", "PUT", put, "hush", "{}", []string{forwarded, "1"}, 503, false},
		{"too large", "PUT", put, "hush", strings.Repeat("x", 1001), nil, 413, false},
		{"health", "GET", "/_matrix/mau/live", "", "", nil, 200, false},
		{"readiness", "GET", "/_matrix/mau/ready", "", "", nil, 503, false},
	} {
		before := len(a.seen)
		status, body := s.ask(c.method, c.path, c.token, c.body, c.header...)
		if status != c.status || len(a.seen) > before != c.forwarded || c.forwarded != strings.Contains(body, "the active one") {
			t.Errorf("%s: %d %s, forwarded %q", c.name, status, body, a.seen[before:])
		}
		if c.forwarded && a.bodies[before] != c.body {
			t.Errorf("%s: the active process got %q", c.name, a.bodies[before])
		}
	}
	if a.seen[0] != "PUT "+put+" Bearer hush" {
		t.Errorf("forwarded %q", a.seen[0])
	}
	if err := s.Reachable(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStandbyHolds: while no process is active, or the one that was is gone or shuts down, a request waits for the next one. If none
// comes in time, the homeserver is told to send it again. The log does not have the token.
func TestStandbyHolds(t *testing.T) {
	gone, stopping, a := newActive(t), newActive(t), newActive(t)
	dead := gone.Listener.Addr().String()
	gone.Close()
	stopping.status = http.StatusServiceUnavailable
	for name, before := range map[string]string{"nobody": "", "dead": dead, "stopping": stopping.Listener.Addr().String()} {
		s := newStandby(time.Minute)
		s.address.Store(before)
		time.AfterFunc(300*time.Millisecond, func() { s.address.Store(a.Listener.Addr().String()) })
		if status, body := s.ask("PUT", "/_matrix/app/v1/transactions/1?access_token=hush", "", "{}"); status != 200 || !strings.Contains(body, "the active one") {
			t.Errorf("%s: %d %s", name, status, body)
		}
		s = newStandby(200 * time.Millisecond)
		s.address.Store(before)
		if status, _ := s.ask("PUT", "/_matrix/app/v1/transactions/1?access_token=hush", "", "{}"); status != 503 {
			t.Errorf("%s for long: %d", name, status)
		}
		if strings.Contains(s.log.String(), "hush") {
			t.Errorf("%s: the log has the token: %s", name, &s.log)
		}
		if name != "stopping" && s.Reachable(t.Context()) == nil {
			t.Errorf("%s is reachable", name)
		}
		s = newStandby(time.Minute)
		time.AfterFunc(200*time.Millisecond, s.Drain)
		if status, _ := s.ask("PUT", "/_matrix/app/v1/transactions/1", "hush", "{}"); status != 503 {
			t.Errorf("%s while this process stops: %d", name, status)
		}
	}
}

// TestStandbyWithoutDatabase: while the database can't be asked for the active process, the answer is 503 at once.
func TestStandbyWithoutDatabase(t *testing.T) {
	s := NewStandby(StandbyOptions{
		Tokens: Tokens{HS: "hush", Query: true}, Active: func(context.Context) (string, error) { return "", io.ErrUnexpectedEOF }, Hold: time.Hour, Log: zerolog.Nop(),
	})
	r := httptest.NewRequest("PUT", "/_matrix/app/v1/transactions/1", strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer hush")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", w.Code)
	}
}

// TestStandbySocket: the active process may listen on a Unix socket.
func TestStandbySocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "active.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	s := newStandby(time.Minute)
	s.address.Store("unix:" + path)
	if status, body := s.ask("PUT", "/_matrix/app/v1/transactions/1", "hush", "whole"); status != 200 || body != "whole" {
		t.Errorf("%d %s", status, body)
	}
}
