package operator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/connect"
	"usher/metrics"
)

// Monitor is the operator's listener: metrics, health and, on request, Go's profiles. Its answers contain no secrets, but
// names of users and rooms, so it is not for the public.
type Monitor struct {
	Health  *Health
	Metrics *metrics.Metrics
	Lanes   func() metrics.Lanes
	Log     zerolog.Logger
}

// Start serves the monitor at its configured address, if it is enabled. The error wraps connect.ErrListen. The caller
// calls stop, which closes all connections at once.
func (m Monitor) Start(cfg config.Metrics) (stop func(), err error) {
	if !cfg.Enabled {
		return func() {}, nil
	}
	listener, err := connect.Listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: metrics: %w", connect.ErrListen, err)
	}
	m.watch()
	server := connect.Server(m.handler(cfg.Pprof))
	go func() { _ = server.Serve(listener) }() // returns when the server is closed
	m.Log.Info().Stringer("address", listener.Addr()).Bool("pprof", cfg.Pprof).Msg("Metrics listener started")
	return func() { _ = server.Close() }, nil
}

// watch has the metrics read the health, the backlog and the lanes.
func (m Monitor) watch() {
	m.Metrics.Watch(metrics.Sources{Backlog: m.Health.backlog, Lanes: m.Lanes, Faults: m.Health.Faults})
}

// handler routes the requests of the monitor.
func (m Monitor) handler(profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Metrics.Handler())
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("GET /ready", m.Health.serveReady)
	if profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// serveReady answers 200, or 503 with the reasons why Usher cannot work.
func (h *Health) serveReady(w http.ResponseWriter, _ *http.Request) {
	reasons := append([]string{}, h.Reasons()...) // an empty list, not null
	if h.stopping.Load() {
		reasons = append(reasons, "shutting down")
	}
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answerJSON(w, status, map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the connection is gone: nobody can be told
}
