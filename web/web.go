// Package web serves HTTP to people and to homeservers. It is the only package that makes HTML.
//
// A Site is one mux with the limits that hold for strangers: the size of a body, the time of a request, the number of requests at a
// time. A part of it is one file with a type whose routes method adds its paths, and Options names the parts. A part declares
// the port that it calls. It judges nothing: use cases of the domain do, each with its authorization.
//
// A process that does not act has a Relay instead, which passes requests on to the active process.
package web

import (
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Options configures a Site. A nil part is off.
type Options struct {
	Antispam *Antispam
	Pages    *Pages // required by the parts that make pages
	Links    *Links
	Stop     *Stop
	Log      zerolog.Logger
}

// Site is all that Usher serves besides the application service API and the operator's listener.
type Site struct {
	routes http.ServeMux
	slots  lanes
	ended  atomic.Bool // see Drain
	log    zerolog.Logger
}

// Limits of requests.
const (
	maxRequests = 256              // of people, and of homeservers, at a time; further ones are answered 503 at once
	maxBody     = 1 << 20          // bytes; an event with the stripped state of its room is far below
	maxTime     = 20 * time.Second // of one request, with its answer
)

// New makes a site.
func New(o Options) *Site {
	s := &Site{slots: newLanes(o.Antispam), log: o.Log}
	if o.Antispam != nil {
		o.Antispam.routes(&s.routes)
	}
	if o.Pages != nil {
		o.Pages.routes(&s.routes)
	}
	if o.Links != nil {
		o.Links.routes(&s.routes)
	}
	if o.Stop != nil {
		o.Stop.routes(&s.routes)
	}
	return s
}

// Drain makes it answer 503 from now on: the use cases behind it end. Requests under way are finished.
func (s *Site) Drain() { s.ended.Store(true) }

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.ended.Load() {
		unavailable(w)
		return
	}
	slots := s.slots.of(r)
	if !slots.enter(w) {
		return
	}
	defer slots.leave()
	defer func() {
		if fault := recover(); fault != nil {
			s.log.Error().Any("fault", fault).Bytes("stack", debug.Stack()).Msg("Web request met a bug")
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	}()
	limit(w, r)
	s.routes.ServeHTTP(w, r)
}

// limit bounds the body and the time of a request, and keeps its answer out of caches and of the headers of other sites.
func limit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	end := http.NewResponseController(w)
	_ = end.SetReadDeadline(time.Now().Add(maxTime)) // a connection without deadlines, as in tests, is fine
	_ = end.SetWriteDeadline(time.Now().Add(maxTime))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
}

// lanes has slots for homeservers apart from those for people: visitors must not keep invitations waiting, also not by callbacks of
// their own making.
type lanes struct {
	people, homeservers slots
	antispam            *Antispam // nil: off
}

func newLanes(antispam *Antispam) lanes { return lanes{newSlots(), newSlots(), antispam} }

// of returns the slots for a request: those of homeservers only for a callback with the token.
func (l lanes) of(r *http.Request) slots {
	if l.antispam != nil && IsAntispam(r.URL.Path) && bears(r, l.antispam.Token) {
		return l.homeservers
	}
	return l.people
}

// slots bounds the number of requests at a time.
type slots chan struct{}

func newSlots() slots { return make(slots, maxRequests) }

// enter takes a slot, or answers that none is free.
func (s slots) enter(w http.ResponseWriter) bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		unavailable(w)
		return false
	}
}

func (s slots) leave() { <-s }

// unavailable answers that the request may be repeated in a moment.
func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}
