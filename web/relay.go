package web

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"path"

	"github.com/rs/zerolog"
)

// RelayHeader marks a request that another process passes on. Its value is a secret of the processes.
const RelayHeader = "Usher-Relayed"

// Relayed reports whether a request comes from another process, by the secret of the processes.
func Relayed(r *http.Request, secret string) bool {
	shown := r.Header.Get(RelayHeader)
	return shown != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(secret)) == 1
}

// Relay serves a process that does not act: it passes each request on to the active process.
type Relay struct {
	proxy    httputil.ReverseProxy
	antispam *Antispam
	slots    lanes
}

var errNotTaken = errors.New("the active process takes nothing")

// NewRelay makes a relay. A callback of a homeserver that can't be passed on in time is answered as antispam has it (nil: there are none). active sends a request to the active process, whatever the host in its URL, and waits a moment while there is none.
func NewRelay(active http.RoundTripper, secret string, antispam *Antispam, log zerolog.Logger) *Relay {
	return &Relay{slots: newLanes(antispam), antispam: antispam, proxy: httputil.ReverseProxy{
		Transport: active,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.Host = "http", p.In.Host
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			p.Out.Header.Set(RelayHeader, secret)
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusServiceUnavailable {
				return errNotTaken
			}
			return nil
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // errors are logged below, without the URL
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.Warn().Err(err).Msg("Web request not passed on to the active process")
			if antispam != nil && IsAntispam(r.URL.Path) && authorized(w, r, antispam.Token) {
				antispam.undecided(w, path.Base(r.URL.Path))
			} else if antispam == nil || !IsAntispam(r.URL.Path) {
				unavailable(w)
			}
		},
	}}
}

// ServeHTTP implements http.Handler.
func (s *Relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	slots := s.slots.of(r)
	if !slots.enter(w) {
		return
	}
	defer slots.leave()
	limit(w, r)
	if s.antispam != nil && IsAntispam(r.URL.Path) {
		ctx, cancel := context.WithTimeout(r.Context(), s.antispam.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, int64(len(body)), nil
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	s.proxy.ServeHTTP(w, r)
}
