package operator

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/connect"
	"usher/metrics"
	"usher/store/storetest"
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
	db := storetest.Open(t)
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
	next := func() { time.Sleep(freshFor) } // an answer counts for a second
	next()
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
	next()
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

// counted counts the commits that health causes.
type counted struct {
	Database
	pings atomic.Int32
}

func (c *counted) Ping(context.Context) error {
	c.pings.Add(1)
	time.Sleep(10 * time.Millisecond)
	return nil
}

// TestReadyIsCached: anybody may ask whether Usher is ready, and causes no more than one commit in a second.
func TestReadyIsCached(t *testing.T) {
	db := &counted{}
	h := &Health{Database: db, Tokens: taken{}}
	var asking sync.WaitGroup
	for range 200 {
		asking.Go(func() {
			if reasons := h.Reasons(); len(reasons) > 0 {
				t.Error(reasons)
			}
		})
	}
	asking.Wait()
	if n := db.pings.Load(); n != 1 {
		t.Errorf("%d commits", n)
	}
	time.Sleep(freshFor)
	h.Reasons()
	if n := db.pings.Load(); n != 2 {
		t.Errorf("%d commits after a second", n)
	}
}

// TestReadyKnowsTransactions: a database that commits, but not what transactions bring, is not ready, and the metrics say so.
func TestReadyKnowsTransactions(t *testing.T) {
	h := &Health{Database: &counted{}, Tokens: taken{}}
	h.Committed(errors.New("database disk image is malformed"))
	if reasons := h.Reasons(); len(reasons) != 1 || !strings.Contains(reasons[0], "transactions") || !h.Faults()["transactions"] {
		t.Error(reasons, h.Faults())
	}
	h.Committed(nil)
	if reasons := h.Reasons(); len(reasons) != 0 || h.Faults()["transactions"] {
		t.Error(reasons, h.Faults())
	}
}
