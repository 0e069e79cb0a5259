// Package metrics counts and times Usher's work for Prometheus, in a registry of its own.
//
// Metrics implements the Counters ports of appservice, chat and homeserver. The store's wrapper in bot calls Timed, Decided, Settled and
// Quarantined. Queue wraps a queue and counts its calls. Watch registers gauges, read when Prometheus asks.
package metrics

import (
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"usher/invites"
)

// Metrics holds all metrics. Its methods are safe for concurrent use and don't block.
type Metrics struct {
	registry *prometheus.Registry
	clock    invites.Clock
	codes    codes

	transactions     *prometheus.CounterVec
	transactionTime  prometheus.Histogram
	transactionBytes prometheus.Histogram
	events           *prometheus.CounterVec
	calls            *prometheus.CounterVec
	callTime         *prometheus.HistogramVec
	cache            *prometheus.CounterVec
	laneWait         prometheus.Histogram
	limited          *prometheus.CounterVec
	callbacks        *prometheus.CounterVec
	callbackTime     *prometheus.HistogramVec
	letters          *prometheus.CounterVec
	panics           prometheus.Counter

	decisions   *prometheus.CounterVec
	deliveries  *prometheus.CounterVec
	rateWait    prometheus.Histogram
	acts        *prometheus.CounterVec
	quarantined prometheus.Counter
	wakeUps     prometheus.Counter
	storeTime   *prometheus.HistogramVec
	storeErrors *prometheus.CounterVec
}

// Buckets in seconds, for answers of a homeserver, for local work, and for waiting.
var (
	slow  = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	quick = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
	long  = []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 21600, 86400}
)

// New makes the registry, with the metrics of Go and of the process. clock times the ports.
func New(version string, clock invites.Clock) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), clock: clock, codes: codes{seen: map[string]bool{}}}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "1, labelled with the version."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(info)
	m.transactions = m.counter("transactions_total", "Transactions of the homeserver, by the status of the answer.", "status")
	m.transactionTime = m.histogram("transaction_seconds", "Time from a transaction's head to its answer.", quick)
	m.transactionBytes = m.histogram("transaction_bytes", "Size of transactions.", prometheus.ExponentialBuckets(256, 8, 7))
	m.events = m.counter("events_total", "Events in transactions, by what became of them.", "kind")
	m.calls = m.counter("homeserver_requests_total", "Requests to the homeserver; status 0 is no answer.", "endpoint", "status")
	m.callTime = m.histograms("homeserver_request_seconds", "Time of requests to the homeserver.", slow, "endpoint")
	m.cache = m.counter("cache_total", "Looks at rooms, by whether the cache sufficed.", "result")
	m.laneWait = m.histogram("lane_wait_seconds", "Time from an event's arrival until its room's lane took it up.", slow)
	m.limited = m.counter("limited_total", "What was not done because somebody asked too much: commands, answers.", "what")
	m.callbacks = m.counter("callbacks_total", "Questions of the homeserver before an invitation or a join, by result (allow, deny; open, closed: no decision in time) and reason code.", "callback", "result", "code")
	m.callbackTime = m.histograms("callback_seconds", "Time of the answers to callbacks.", quick, "callback")
	m.letters = m.counter("letters_total", "Tries to send an invitation by e-mail, by outcome: sent, refused, later (the mail server said so), trouble (no letter passes).", "outcome")
	m.panics = m.counter("panics_total", "Commands that met a bug.").WithLabelValues()
	m.decisions = m.counter("decisions_total", "Decisions, by action, verdict and reason code.", "action", "verdict", "code")
	m.deliveries = m.counter("deliveries_total", "Attempts at invitations, by outcome (done, refused, cancelled, retry) and code.", "outcome", "code")
	m.rateWait = m.histogram("rate_limit_wait_seconds", "How long the homeserver told an invitation to wait (429).", long)
	m.acts = m.counter("acts_total", "Membership changes asked of the homeserver, by action and how it ended.", "action", "result")
	m.quarantined = m.counter("quarantined_events_total", "Undecodable events kept for the operator.").WithLabelValues()
	m.wakeUps = m.counter("wakeups_total", "Invitations handed to the queue.").WithLabelValues()
	m.storeTime = m.histograms("store_seconds", "Time of commits and reads.", quick, "operation")
	m.storeErrors = m.counter("store_errors_total", "Commits and reads that failed.", "operation")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// namespace is the prefix of all names.
const namespace = "usher"

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// Handler serves the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Transaction implements appservice.Counters.
func (m *Metrics) Transaction(status, _, bytes int, took time.Duration) {
	m.transactions.WithLabelValues(strconv.Itoa(status)).Inc()
	m.transactionTime.Observe(took.Seconds())
	m.transactionBytes.Observe(float64(bytes))
}

// Event implements appservice.Counters.
func (m *Metrics) Event(kind string, n int) { m.events.WithLabelValues(kind).Add(float64(n)) }

// Call implements homeserver.Counters.
func (m *Metrics) Call(endpoint string, status int, took time.Duration) {
	m.calls.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	m.callTime.WithLabelValues(endpoint).Observe(took.Seconds())
}

// Cache implements homeserver.Counters.
func (m *Metrics) Cache(hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.cache.WithLabelValues(result).Inc()
}

// LaneWait counts an event by the time between its arrival and its start in the lane of its room.
func (m *Metrics) LaneWait(waited time.Duration) { m.laneWait.Observe(max(waited, 0).Seconds()) }

// Limited counts a command or an answer beyond a limit; kind is "command" or "answer".
func (m *Metrics) Limited(kind string) { m.limited.WithLabelValues(kind).Inc() }

// Callback counts a question of the homeserver and its answer.
func (m *Metrics) Callback(name, result, code string, took time.Duration) {
	m.callbacks.WithLabelValues(name, result, m.codes.label(code)).Inc()
	m.callbackTime.WithLabelValues(name).Observe(took.Seconds())
}

// Letter counts a try to send a letter, by its outcome.
func (m *Metrics) Letter(outcome string) { m.letters.WithLabelValues(outcome).Inc() }

// Panicked counts a command that panicked.
func (m *Metrics) Panicked() { m.panics.Inc() }

// codes bounds the values of the label "code": errcodes come from other servers.
type codes struct {
	mu   sync.Mutex
	seen map[string]bool
}

// maxCodes is the largest number of distinct codes.
const maxCodes = 200

var code = regexp.MustCompile(`\A[A-Za-z0-9_.]{1,64}\z`)

// label returns a code as a label: "other" for a malformed code and for codes beyond the bound.
func (c *codes) label(text string) string {
	if text == "" {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.seen[text] && (len(c.seen) >= maxCodes || !code.MatchString(text)) {
		return "other"
	}
	c.seen[text] = true
	return text
}
