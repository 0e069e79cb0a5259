package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Transaction is one push from the homeserver, as it came.
type Transaction struct {
	ID     string
	Path   string
	Header http.Header
	Body   []byte
	Status int // what it was answered
	Came   time.Time
}

// Events returns the events in the transaction.
func (t Transaction) Events() []Event {
	var body struct {
		Events []Event `json:"events"`
	}
	_ = json.Unmarshal(t.Body, &body)
	return body.Events
}

// Door stands where the homeserver reaches the appservice. It records each transaction and passes it on to the Usher behind
// it. It keeps its address while Usher is restarted: requests wait meanwhile, so that the homeserver does not back off.
type Door struct {
	URL string

	transactions recorder[Transaction]
	server       *http.Server

	around atomic.Pointer[Around]

	mu      sync.Mutex
	backend *url.URL      // nil: nobody is there
	others  []*url.URL    // more of them, which take turns
	opened  chan struct{} // closed when a backend comes
}

// doorPatience bounds how long a request waits for a backend.
const doorPatience = 30 * time.Second

// OpenDoor listens on a free port of 127.0.0.1. Until To is called, requests are held.
func OpenDoor() (*Door, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &Door{URL: "http://" + l.Addr().String(), opened: make(chan struct{})}
	d.server = &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
	go func() { _ = d.server.Serve(l) }()
	return d, nil
}

// Accept is the backend that answers everything 200 itself, for tests without Usher.
const Accept = "accept:"

// To sets the backend: the base URL of a Usher, Accept, or "" for none, which holds requests. Of several, as behind a plain load
// balancer, each gets its turn, unless it does not listen.
func (d *Door) To(backend string, others ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others = nil
	for _, other := range others {
		u, err := url.Parse(other)
		if err != nil {
			return err
		}
		d.others = append(d.others, u)
	}
	if backend == "" {
		if d.backend != nil {
			d.backend, d.opened = nil, make(chan struct{})
		}
		return nil
	}
	u, err := url.Parse(backend)
	if err != nil {
		return err
	}
	if d.backend == nil {
		close(d.opened)
	}
	d.backend = u
	return nil
}

// Disturb has around handle the requests that come from now on in place of passing them on; nil ends that.
func (d *Door) Disturb(around Around) {
	if around == nil {
		d.around.Store(nil)
		return
	}
	d.around.Store(&around)
}

// Close stops listening and drops what is held.
func (d *Door) Close() error { return d.server.Close() }

// Transactions returns what came so far.
func (d *Door) Transactions() []Transaction { return d.transactions.list(nil) }

// Carrying returns the first transaction that carried an event and was answered 200, or nil.
func (d *Door) Carrying(event string) *Transaction {
	found := d.transactions.list(func(t Transaction) bool {
		return t.Status == http.StatusOK && slices.ContainsFunc(t.Events(), func(e Event) bool { return e.ID == event })
	})
	if len(found) == 0 {
		return nil
	}
	return &found[0]
}

// AwaitEvent waits for a pushed event.
func (d *Door) AwaitEvent(ctx context.Context, match func(Event) bool) (Event, error) {
	var found Event
	_, err := d.transactions.await(ctx, func(t Transaction) bool {
		for _, e := range t.Events() {
			if match(e) {
				found = e
				return true
			}
		}
		return false
	})
	return found, err
}

// Replay sends a copy of a transaction to the backend, under its own id or another, and returns the status of the answer.
func (d *Door) Replay(ctx context.Context, t Transaction, id string) (int, error) {
	d.mu.Lock()
	backend := d.backend
	d.mu.Unlock()
	if backend == nil {
		return 0, fmt.Errorf("no backend")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, backend.JoinPath(path.Dir(t.Path), id).String(), bytes.NewReader(t.Body))
	if err != nil {
		return 0, err
	}
	req.Header = t.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, joinClose(err, resp.Body)
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	came := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	backend := d.wait(r.Context())
	status := http.StatusBadGateway
	switch {
	case backend == nil:
		w.WriteHeader(status)
	case backend.Scheme == "accept":
		status = http.StatusOK
		_, _ = io.WriteString(w, "{}")
	default:
		pass := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { status = forward(w, r, backend, body) })
		if around := d.around.Load(); around != nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			(*around)(w, r, pass)
		} else {
			pass(w, r)
		}
	}
	if strings.Contains(r.URL.Path, "/transactions/") {
		d.transactions.add(Transaction{ID: path.Base(r.URL.Path), Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Status: status, Came: came})
	}
}

// wait returns the backend as soon as there is one.
func (d *Door) wait(ctx context.Context) *url.URL {
	d.mu.Lock()
	opened := d.opened
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, doorPatience)
	defer cancel()
	select {
	case <-opened:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for range d.others {
		d.backend, d.others = d.others[0], append(d.others[1:len(d.others):len(d.others)], d.backend)
		if conn, err := net.Dial("tcp", d.backend.Host); err == nil {
			_ = conn.Close()
			break
		}
	}
	return d.backend
}

// forward passes a request on and returns the status of the answer.
func forward(w http.ResponseWriter, r *http.Request, to *url.URL, body []byte) int {
	status := http.StatusBadGateway
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) },
		ModifyResponse: func(resp *http.Response) error {
			status = resp.StatusCode
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	proxy.ServeHTTP(w, r)
	return status
}
