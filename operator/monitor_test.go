package operator

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/connect"
	"usher/metrics"
	"usher/store"
)

type clock struct{}

func (clock) Now() time.Time { return time.Now() }

// taken are tokens that the homeserver accepts.
type taken struct{}

func (taken) TokenRefused() bool  { return false }
func (taken) PuppetRefused() bool { return false }

// unreachable is an active process that can't be reached.
type unreachable struct{}

func (unreachable) Unreachable(context.Context) bool { return true }

func TestMonitor(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	m := Monitor{
		Health:  &Health{Database: db, Tokens: taken{}},
		Metrics: metrics.New("test", clock{}), Lanes: func() metrics.Lanes { return metrics.Lanes{Active: true} }, Log: zerolog.Nop(),
	}
	m.watch()
	get := func(profiles bool, path string) (int, string) {
		w := httptest.NewRecorder()
		m.handler(profiles).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		profiles bool
		path     string
		status   int
		has      string
	}{
		{false, "/live", 200, "{}"},
		{false, "/ready", 200, `"ready":true`},
		{false, "/metrics", 200, "usher_queue_depth 0"},
		{false, "/metrics", 200, "usher_active 1"},
		{false, "/debug/pprof/", 404, ""},
		{true, "/debug/pprof/", 200, "goroutine"},
	} {
		if status, body := get(c.profiles, c.path); status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("%s (profiles %v): %d %.200s", c.path, c.profiles, status, body)
		}
	}
	m.Health.Peer = unreachable{}
	if status, body := get(false, "/ready"); status != 503 || !strings.Contains(body, "no other process is active") {
		t.Errorf("while no process is active: %d %s", status, body)
	}
	m.Health.Peer = nil
	m.Health.Stop()
	if status, body := get(false, "/ready"); status != 503 || !strings.Contains(body, "shutting down") {
		t.Errorf("while stopping: %d %s", status, body)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if status, body := get(false, "/ready"); status != 503 || !strings.Contains(body, "database") {
		t.Errorf("without a database: %d %s", status, body)
	}
	if _, body := get(false, "/metrics"); !strings.Contains(body, `usher_fault{fault="database"} 1`) {
		t.Error("without a database: no fault in the metrics")
	}
}

// TestMonitorStarts: it listens only if it is enabled, and a taken port has an error of its own.
func TestMonitorStarts(t *testing.T) {
	m := Monitor{Log: zerolog.Nop()}
	if stop, err := m.Start(config.Metrics{Listen: "no address"}); err != nil {
		t.Error(err)
	} else {
		stop()
	}
	if _, err := m.Start(config.Metrics{Enabled: true, Listen: "no address"}); !errors.Is(err, connect.ErrListen) {
		t.Error(err)
	}
}
