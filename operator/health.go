package operator

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"usher/metrics"
	"usher/room"
	"usher/store"
	"usher/words"
)

// Names of faults, as the metrics show them.
const (
	faultDatabase = "database"
	faultCommits  = "transactions"
	faultToken    = "as_token"
	faultPuppet   = "puppet_token"
	faultDevice   = "device"
	faultPeer     = "peer"
)

// faultReasons are the sentences of /ready.
var faultReasons = []struct {
	name   string
	reason room.Phrase
}{
	{faultDatabase, room.Say("ready.database")},
	{faultCommits, room.Say("ready.transactions")},
	{faultToken, room.Say("ready.as_token")},
	{faultDevice, room.Say("ready.device")},
	{faultPeer, room.Say("ready.peer")},
	{faultPuppet, room.Say("ready.puppet_token")},
}

// Database is the part of the store that health needs.
type Database interface {
	Ping(ctx context.Context) error // commits something
	Backlog(ctx context.Context) (store.Backlog, error)
}

// Tokens is the part of the homeserver's client that health needs.
type Tokens interface {
	TokenRefused() bool
	PuppetRefused() bool
}

// Device is the part of the encryption device that health needs.
type Device interface{ Ready() bool }

// Peer is the process that is active while this one stands by.
type Peer interface {
	// Unreachable tells whether this process stands by and can't forward requests to the active one.
	Unreachable(ctx context.Context) bool
}

// Health tells whether this process can work. Its methods may be called from several goroutines.
type Health struct {
	Database Database
	Tokens   Tokens
	Device   Device // nil where encryption is off
	Peer     Peer   // nil: there is only this process

	stopping atomic.Bool
	failing  atomic.Bool // the last transaction could not be committed

	mu    sync.Mutex
	asked time.Time // when the answers below were found
	lost  bool      // the database can't commit
	alone bool      // the active process can't be reached
}

// freshFor is how long an answer of the database and of the active process counts: anybody may ask for /ready, and asking
// costs a commit.
const freshFor = time.Second

// Committed notes whether a transaction of the homeserver could be committed. It implements appservice.Health. Ping alone does not tell:
// one table may be damaged while another one is not.
func (h *Health) Committed(err error) { h.failing.Store(err != nil) }

// Failing reports whether the last transaction could not be committed.
func (h *Health) Failing() bool { return h.failing.Load() }

// probe asks the database and the active process, at most once in freshFor, however many ask at the same time.
func (h *Health) probe() (lost, alone bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked.IsZero() || time.Since(h.asked) >= freshFor {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		h.lost = h.Database.Ping(ctx) != nil
		h.alone = h.Peer != nil && h.Peer.Unreachable(ctx)
		h.asked = time.Now()
	}
	return h.lost, h.alone
}

// Stop makes /ready answer 503 from now on: the process shuts down.
func (h *Health) Stop() { h.stopping.Store(true) }

// Faults tells for each known fault, by its name in the metrics, whether it is present now, or was within the last second.
func (h *Health) Faults() map[string]bool {
	lost, alone := h.probe()
	return map[string]bool{
		faultDatabase: lost,
		faultCommits:  h.failing.Load(),
		faultToken:    h.Tokens.TokenRefused(),
		faultPuppet:   h.Tokens.PuppetRefused(),
		faultDevice:   h.Device != nil && !h.Device.Ready(),
		faultPeer:     alone,
	}
}

// Reasons lists the faults that keep Usher from working, each as a sentence. It is empty in a healthy process.
func (h *Health) Reasons() (reasons []string) {
	for _, reason := range h.Phrases() {
		reasons = append(reasons, words.For("").Text(reason))
	}
	return reasons
}

// Phrases lists the faults that keep Usher from working.
func (h *Health) Phrases() (reasons []room.Phrase) {
	faults := h.Faults()
	for _, fault := range faultReasons {
		if faults[fault.name] {
			reasons = append(reasons, fault.reason)
		}
	}
	return reasons
}

// backlog reads the counts and ages of waiting work for the metrics.
func (h *Health) backlog(ctx context.Context) (metrics.Backlog, error) {
	waits, err := h.Database.Backlog(ctx)
	return metrics.Backlog{
		Open: waits.Open, Overdue: age(waits.Due), Events: waits.Events, Oldest: age(waits.Oldest), Quarantine: waits.Quarantine,
	}, err
}

// age is the time since a moment, 0 for the zero moment.
func age(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return time.Since(at)
}
