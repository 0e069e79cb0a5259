package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/invites"
	"usher/room"
)

// ticking is a clock that goes on by a millisecond each time it is looked at.
type ticking struct{ at time.Time }

func (c *ticking) Now() time.Time {
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

// scrapeText reads the metrics as Prometheus does.
func scrapeText(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// shows checks for lines among the metrics.
func shows(t *testing.T, m *Metrics, lines ...string) {
	t.Helper()
	text := scrapeText(t, m)
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestCounters(t *testing.T) {
	m := New("v1", &ticking{})
	m.Transaction(200, 3, 1000, time.Millisecond)
	m.Event("command", 2)
	m.Call("invite", 429, time.Second)
	m.Cache(true)
	m.Cache(false)
	m.LaneWait(time.Second)
	m.Limited("command")
	shows(t, m, `usher_build_info{version="v1"} 1`, `usher_transactions_total{status="200"} 1`, `usher_transaction_bytes_sum 1000`,
		`usher_events_total{kind="command"} 2`, `usher_homeserver_requests_total{endpoint="invite",status="429"} 1`,
		`usher_homeserver_request_seconds_count{endpoint="invite"} 1`, `usher_cache_total{result="hit"} 1`, `usher_cache_total{result="miss"} 1`,
		`usher_lane_wait_seconds_count 1`, `usher_limited_total{what="command"} 1`)
	if !strings.Contains(scrapeText(t, m), "\ngo_goroutines ") {
		t.Error("Go's own metrics are missing")
	}
}

// world is a queue that answers with an error, or does nothing.
type world struct {
	invites.Queue
	err error
}

func (p world) Wake(_ context.Context, _ time.Time, _ ...int64) (err error) { return p.err }

func TestPorts(t *testing.T) {
	m := New("v1", &ticking{})
	at := time.Unix(1700000000, 0)
	m.Decided([]invites.Audit{{Kind: "decision", Action: room.Invite, Verdict: "deny", Code: "policy.no"}})
	m.Settled([]invites.Settlement{{Status: invites.StatusDone, Code: "done"},
		{Status: invites.StatusOpen, Code: "M_LIMIT_EXCEEDED", At: at, DueAt: at.Add(20 * time.Second)}})
	m.Quarantined(2)
	if err := m.Queue(world{}).Wake(t.Context(), at, 1, 2, 3); err != nil {
		t.Error(err)
	}
	for _, class := range []invites.Class{invites.ClassFailed, invites.ClassRefused, invites.ClassLater, invites.ClassStopped} {
		m.Act("kick", &invites.ActError{Class: class})
	}
	m.Act("invite", nil)
	for _, err := range []error{nil, errors.New("disk full"), invites.ErrFenced} {
		m.Timed("settle")(err)
	}
	shows(t, m, `usher_decisions_total{action="invite",code="policy.no",verdict="deny"} 1`,
		`usher_deliveries_total{code="done",outcome="done"} 1`, `usher_deliveries_total{code="M_LIMIT_EXCEEDED",outcome="retry"} 1`,
		`usher_rate_limit_wait_seconds_sum 20`, `usher_quarantined_events_total 2`, `usher_acts_total{action="invite",result="done"} 1`,
		`usher_acts_total{action="kick",result="refused"} 1`, `usher_acts_total{action="kick",result="stopped"} 1`, `usher_wakeups_total 3`,
		`usher_store_errors_total{operation="settle"} 1`, `usher_store_seconds_count{operation="settle"} 3`)
}

func TestGauges(t *testing.T) {
	m := New("v1", &ticking{})
	backlog, err := Backlog{Open: 3, Overdue: time.Minute, Events: 2, Oldest: -time.Second, Quarantine: 1}, error(nil)
	m.Watch(Sources{
		Backlog: func(context.Context) (Backlog, error) { return backlog, err },
		Lanes:   func() Lanes { return Lanes{Active: true, Rooms: 4, Events: 5, Statements: 6, Commits: 7} },
		Faults:  func() map[string]bool { return map[string]bool{"database": true, "as_token": false} },
	})
	shows(t, m, `usher_queue_depth 3`, `usher_queue_overdue_seconds 60`, `usher_inbox_depth 2`, `usher_inbox_age_seconds 0`, `usher_quarantine_depth 1`,
		`usher_lane_rooms 4`, `usher_store_statements_total 6`, `usher_store_commits_total 7`, `usher_lane_depth 5`, `usher_fault{fault="database"} 1`, `usher_fault{fault="as_token"} 0`, `usher_backlog_unreadable 0`)
	err = errors.New("gone")
	shows(t, m, `usher_backlog_unreadable 1`)
}

// TestMonitoringKnowsItsMetrics: alert rules and dashboard ask for nothing that isn't there.
func TestMonitoringKnowsItsMetrics(t *testing.T) {
	m := New("v1", &ticking{})
	m.Watch(Sources{})
	known := map[string]bool{}
	descriptions := make(chan *prometheus.Desc)
	go func() { m.registry.Describe(descriptions); close(descriptions) }()
	for d := range descriptions {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.String(), `Desc{fqName: "`), `"`)
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			known[name+suffix] = true
		}
	}
	for _, file := range []string{"usher.rules.yml", "dashboard.json"} {
		text, err := os.ReadFile("../docs/monitoring/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(usher|go|process)_[a-z_]+`).FindAllString(string(text), -1) {
			if !known[name] {
				t.Errorf("%s asks for %s", file, name)
			}
		}
	}
}

// TestCodesAreBounded: labels that come from outside can't fill the memory.
func TestCodesAreBounded(t *testing.T) {
	c := codes{seen: map[string]bool{}}
	if got := c.label("no code\n"); got != "other" {
		t.Errorf("got %q", got)
	}
	for i := range 2 * maxCodes {
		c.label(fmt.Sprint("M_", i))
	}
	if len(c.seen) != maxCodes || c.label("M_0") != "M_0" || c.label("M_NEW") != "other" {
		t.Errorf("%d codes", len(c.seen))
	}
}
