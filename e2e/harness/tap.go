package harness

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Request is one request from Usher to the homeserver, and its answer.
type Request struct {
	Method string
	Path   string // without the query
	User   string // asserted by ?user_id=, empty if none
	Status int    // of the answer; 0 when none came

	Began, Ended time.Time
}

// Acts reports whether the request is of a kind that changes a membership, in the room given (in any for "").
func (r Request) Acts(room string) bool {
	if r.Method == http.MethodGet || !strings.Contains(r.Path, room) {
		return false
	}
	if strings.Contains(r.Path, "/join/") || strings.Contains(r.Path, "/knock/") || strings.Contains(r.Path, "/state/m.room.member/") {
		return true
	}
	switch r.Path[strings.LastIndexByte(r.Path, '/')+1:] {
	case "invite", "join", "leave", "kick", "ban", "unban":
		return true
	}
	return false
}

// Tap stands between Usher and the homeserver: it records each request, and can disturb it.
type Tap struct {
	URL string

	requests recorder[Request]
	server   *http.Server
	proxy    *httputil.ReverseProxy
	around   atomic.Pointer[Around]
}

// Around handles a request in place of the tap; next passes it on to the homeserver.
type Around func(w http.ResponseWriter, r *http.Request, next http.Handler)

// OpenTap listens on a free port of 127.0.0.1 and passes all on to the homeserver at target.
func OpenTap(target string) (*Tap, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tap{URL: "http://" + l.Addr().String()}
	t.proxy = &httputil.ReverseProxy{
		Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport:    &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	go func() { _ = t.server.Serve(l) }()
	return t, nil
}

// Close stops listening.
func (t *Tap) Close() error { return t.server.Close() }

// Disturb has around handle the requests from now on; nil ends that.
func (t *Tap) Disturb(around Around) {
	if around == nil {
		t.around.Store(nil)
		return
	}
	t.around.Store(&around)
}

// Requests returns the requests that match, in the order of their answers.
func (t *Tap) Requests(match func(Request) bool) []Request { return t.requests.list(match) }

// Await waits for a request that matches, those already seen included.
func (t *Tap) Await(ctx context.Context, match func(Request) bool) (Request, error) {
	return t.requests.await(ctx, match)
}

// ServeHTTP implements http.Handler.
func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, began := &statusWriter{ResponseWriter: w}, time.Now()
	// Deferred, since an aborted answer leaves by panic.
	defer func() {
		t.requests.add(Request{Method: r.Method, Path: r.URL.Path, User: r.URL.Query().Get("user_id"), Status: seen.status, Began: began, Ended: time.Now()})
	}()
	if around := t.around.Load(); around != nil {
		(*around)(seen, r, t.proxy)
		return
	}
	t.proxy.ServeHTTP(seen, r)
}

// Drop leaves a request without an answer for as long as its sender waits. It does not return.
func Drop(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the server would not notice that the other side is gone
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 { // not an interim answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
