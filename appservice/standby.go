package appservice

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// StandbyOptions configures a Standby. Only Tokens.HS and Active are required.
type StandbyOptions struct {
	Tokens      Tokens
	Active      func(context.Context) (string, error) // address of the active process, host:port or unix:/path; empty: none at the moment
	MaxBody     int64                                 // bytes of one request; 50 MiB if 0
	ReadTimeout time.Duration                         // for reading one, and for the answer of the active process; 30 s if 0
	Hold        time.Duration                         // how long a request waits for a process to become active; 10 s if 0
	Ready       func() []string                       // what keeps this process from working; nil: nothing
	Log         zerolog.Logger
}

// Standby is the application service API of a process that does not act: it checks the token and forwards each request to the
// active process. While there is none it holds requests for a moment, then answers 503, and the homeserver sends them again.
type Standby struct {
	o       StandbyOptions
	proxy   *httputil.ReverseProxy
	drained chan struct{}     // closed by Drain
	direct  http.RoundTripper // to the address that a URL's host names, see hostOf
	routes  http.ServeMux
	gate    gate
}

// forwarded marks requests that come from another process. They are never forwarded again.
const forwarded = "Usher-Forwarded"

// holdPoll is the pause between two looks for the active process.
const holdPoll = 100 * time.Millisecond

// NewStandby makes the handler.
func NewStandby(o StandbyOptions) *Standby {
	if o.MaxBody == 0 {
		o.MaxBody = defaultBody
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = defaultRead
	}
	if o.Hold == 0 {
		o.Hold = 10 * time.Second
	}
	s := &Standby{o: o, drained: make(chan struct{}), gate: gate{Tokens: o.Tokens, log: o.Log}}
	s.direct = &http.Transport{
		DialContext:           s.dial,
		ResponseHeaderTimeout: o.ReadTimeout,
		IdleConnTimeout:       30 * time.Second,
	}
	s.proxy = &httputil.ReverseProxy{
		Transport: s,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.Host = "http", p.In.Host
			p.Out.Header.Set(forwarded, "1")
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // errors are logged below, without the URL, which may hold the token
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			o.Log.Warn().Err(err).Msg("a request could not be forwarded to the active process")
			refuse(w, http.StatusServiceUnavailable, "M_UNKNOWN")
		},
	}
	s.routes.HandleFunc(pathLive, empty)
	s.routes.HandleFunc(pathReady, s.ready)
	s.routes.HandleFunc("/", s.forward)
	return s
}

// ServeHTTP implements http.Handler: it forwards all requests except for those about the health of the process.
func (s *Standby) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

func (s *Standby) ready(w http.ResponseWriter, _ *http.Request) {
	var reasons []string
	if s.o.Ready != nil {
		reasons = s.o.Ready()
	}
	answerReady(w, reasons, time.Time{})
}

// forward sends a request of the homeserver to the active process.
func (s *Standby) forward(w http.ResponseWriter, r *http.Request) {
	if !s.gate.open(w, r) {
		return
	}
	if r.Header.Get(forwarded) != "" { // another process takes this one for the active one
		refuse(w, http.StatusServiceUnavailable, "M_UNKNOWN")
		return
	}
	body, status := s.read(w, r)
	if status != http.StatusOK {
		refuse(w, status, "M_UNKNOWN")
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, int64(len(body)), nil
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	s.proxy.ServeHTTP(w, r)
}

// read reads a body, within its time and size.
func (s *Standby) read(w http.ResponseWriter, r *http.Request) (body []byte, status int) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.o.ReadTimeout)) // a connection without deadlines, as in tests, is fine
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	return body, http.StatusOK
}

// Errors of RoundTrip.
var (
	errNobody  = errors.New("no process is active")
	errUnknown = errors.New("the address of the active process can't be read")
)

// RoundTrip implements http.RoundTripper: it sends the request to the active process, again while there is none that takes it. A 503
// means that a process took nothing in.
func (s *Standby) RoundTrip(r *http.Request) (*http.Response, error) {
	end := time.Now().Add(s.o.Hold)
	for {
		resp, err := s.send(r)
		switch {
		case err == nil && resp.StatusCode != http.StatusServiceUnavailable, errors.Is(err, errUnknown), time.Now().After(end):
			return resp, err
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		select {
		case <-time.After(holdPoll):
		case <-s.drained:
			return nil, errNobody
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// Drain ends the wait of the requests that it holds: they are answered 503. Call it once.
func (s *Standby) Drain() { close(s.drained) }

// send sends the request once.
func (s *Standby) send(r *http.Request) (*http.Response, error) {
	address, err := s.o.Active(r.Context())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if address == "" {
		return nil, errNobody
	}
	again := r.Clone(r.Context())
	again.URL.Host = hostOf(address)
	if r.ContentLength > 0 {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return s.direct.RoundTrip(again)
}

// Reachable asks the active process whether it lives.
func (s *Standby) Reachable(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://usher"+pathLive, nil)
	if err != nil {
		return err
	}
	resp, err := s.send(r)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the active process answers %d", resp.StatusCode)
	}
	return nil
}

// unixHost begins the host that stands for a socket in a URL.
const unixHost = "unix."

// hostOf is the host by which dial finds an address again.
func hostOf(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return fmt.Sprintf("%s%x", unixHost, path)
	}
	return address
}

// dial connects to the host of hostOf.
func (s *Standby) dial(ctx context.Context, _, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	if host, _, err := net.SplitHostPort(address); err == nil && strings.HasPrefix(host, unixHost) {
		path, err := hex.DecodeString(strings.TrimPrefix(host, unixHost))
		if err != nil {
			return nil, err
		}
		return dialer.DialContext(ctx, "unix", string(path))
	}
	return dialer.DialContext(ctx, "tcp", address)
}
