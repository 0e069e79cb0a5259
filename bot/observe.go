package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"usher/config"
	"usher/metrics"
)

// Faults, by the names that they have in the metrics, and what /ready says of them.
const (
	faultDatabase = "database"
	faultToken    = "as_token"
	faultPuppet   = "puppet_token"
	faultDevice   = "device"
)

var faultReasons = []struct{ name, reason string }{
	{faultDatabase, "the database can't commit"},
	{faultToken, "the homeserver refuses the as_token: nothing is done until it takes it again"},
	{faultDevice, "the device for encrypted rooms is not set up yet"},
	{faultPuppet, "the homeserver refuses the second registration's as_token: nothing is done for local users until it takes it again"},
}

// faults tells what keeps Usher from working.
func (b *bot) faults() map[string]bool {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	return map[string]bool{
		faultDatabase: b.store.Ping(ctx) != nil,
		faultToken:    b.client.TokenRefused(),
		faultPuppet:   b.client.PuppetRefused(),
		faultDevice:   b.sealed.device != nil && !b.sealed.device.Ready(),
	}
}

// ready lists what keeps Usher from working, in words.
func (b *bot) ready() []string {
	var reasons []string
	faults := b.faults()
	for _, fault := range faultReasons {
		if faults[fault.name] {
			reasons = append(reasons, fault.reason)
		}
	}
	return reasons
}

// recheckEvery is how often a refused token is asked about.
const recheckEvery = 5 * time.Second

// recheck asks now and then whether a token that was refused is taken again, until ctx ends.
func (b *bot) recheck(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.client.Recheck(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// backlog asks the database what waits.
func (b *bot) backlog(ctx context.Context) (metrics.Backlog, error) {
	waits, err := b.store.Backlog(ctx)
	since := func(at time.Time) time.Duration {
		if at.IsZero() {
			return 0
		}
		return time.Since(at)
	}
	return metrics.Backlog{
		Open: waits.Open, Overdue: since(waits.Due), Events: waits.Events, Oldest: since(waits.Oldest), Quarantine: waits.Quarantine,
	}, err
}

// observe serves the operator's listener, if there is to be one, until it is closed by close.
func (b *bot) observe(cfg *config.Config) error {
	if !cfg.Metrics.Enabled {
		return nil
	}
	listener, err := listen(cfg.Metrics.Listen)
	if err != nil {
		return fmt.Errorf("%w: metrics: %w", ErrListen, err)
	}
	b.metrics.Watch(metrics.Sources{Backlog: b.backlog, Lanes: b.lanes.depth, Faults: b.faults})
	b.serveObserver(listener, cfg.Metrics.Pprof)
	return nil
}

func (b *bot) serveObserver(listener net.Listener, profiles bool) {
	server := &http.Server{Handler: b.observer(profiles), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	b.closers = append(b.closers, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	b.log.Info().Stringer("address", listener.Addr()).Bool("pprof", profiles).Msg("metrics")
}

// observer is what the operator's listener serves: no secrets, but names of nobody's business outside.
func (b *bot) observer(profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", b.metrics.Handler())
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		reasons := append([]string{}, b.ready()...)
		if b.stopping.Load() {
			reasons = append(reasons, "shutting down")
		}
		status := http.StatusOK
		if len(reasons) > 0 {
			status = http.StatusServiceUnavailable
		}
		answerJSON(w, status, map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
	})
	if profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // nobody is left to tell
}
