package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backlog has the counts and ages of waiting work.
type Backlog struct {
	Open       int           // changes not settled
	Overdue    time.Duration // since the oldest of them became due; 0 if none is due
	Events     int           // events of the inbox not handled
	Oldest     time.Duration // age of the oldest of them
	Quarantine int           // undecodable events kept
}

// Lanes is the work of this process. Statements and Commits count in each process.
type Lanes struct {
	Active bool // this is the process that acts; else the rest is zero
	Rooms  int  // with a lane at work or waiting
	Events int  // that wait in lanes

	Statements, Commits int64 // of the database
}

// Sources give the values of gauges when Prometheus reads them. All are required.
type Sources struct {
	Backlog func(context.Context) (Backlog, error)
	Lanes   func() Lanes
	Faults  func() map[string]bool // by a fixed set of short names: is the fault present
}

// Watch registers the gauges. Call it once.
func (m *Metrics) Watch(s Sources) { m.registry.MustRegister(newGauges(s)) }

// gauges collects all gauges at once, with one read of the backlog.
type gauges struct {
	Sources
	open, overdue, events, oldest, quarantine, rooms, laned, active, fault, failed, statements, commits *prometheus.Desc
}

func newGauges(s Sources) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &gauges{
		Sources:    s,
		open:       desc("queue_depth", "Invitations not settled."),
		overdue:    desc("queue_overdue_seconds", "How long the oldest invitation that is due has been."),
		events:     desc("inbox_depth", "Events not handled."),
		oldest:     desc("inbox_age_seconds", "Age of the oldest event not handled."),
		quarantine: desc("quarantine_depth", "Undecodable events kept."),
		rooms:      desc("lane_rooms", "Rooms with a lane at work or waiting."),
		laned:      desc("lane_depth", "Events in lanes."),
		active:     desc("active", "1 while this process acts, 0 while it stands by."),
		fault:      desc("fault", "1 while this keeps Usher from working.", "fault"),
		failed:     desc("backlog_unreadable", "1 when the database did not tell what waits."),
		statements: desc("store_statements_total", "Statements that the database was asked to run, those for these metrics included."),
		commits:    desc("store_commits_total", "Commits of the database. Each makes one flush or more to the disk; on SQLite, writers share them."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.open, g.overdue, g.events, g.oldest, g.quarantine, g.rooms, g.laned, g.active, g.fault, g.failed, g.statements, g.commits} {
		to <- d
	}
}

// scrape is the longest time for one read of the backlog.
const scrape = 3 * time.Second

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	lanes := g.Lanes()
	send(g.active, flag(lanes.Active))
	send(g.rooms, float64(lanes.Rooms))
	send(g.laned, float64(lanes.Events))
	for d, n := range map[*prometheus.Desc]int64{g.statements: lanes.Statements, g.commits: lanes.Commits} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	for name, on := range g.Faults() {
		send(g.fault, flag(on), name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrape)
	defer cancel()
	b, err := g.Backlog(ctx)
	send(g.failed, flag(err != nil))
	if err != nil {
		return
	}
	send(g.open, float64(b.Open))
	send(g.overdue, max(b.Overdue, 0).Seconds())
	send(g.events, float64(b.Events))
	send(g.oldest, max(b.Oldest, 0).Seconds())
	send(g.quarantine, float64(b.Quarantine))
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
