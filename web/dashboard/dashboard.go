// Package dashboard makes the pages for people who look after rooms, behind a login.
//
// A person gets the address of a login from the bot in a direct chat (invites/sessions). Each request finds the session of its cookie and
// runs a handler with a visit, which knows the person. Handlers call use cases in the person's name, the same as the commands do, and each
// use case judges the person at that moment. Pages about a room are for people who may read its audit.
//
// A page makes no request by itself and needs no script. Forms carry a token of the session, and are taken from Usher's own pages only. Pages are
// read a few at a time, so that they never take all connections to the database from commands.
package dashboard

import (
	"context"
	"crypto/subtle"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/sessions"
	"usher/web"
)

//go:embed pages/*.html static/*
var files embed.FS

// Options are the parts of a Dashboard. All are required.
type Options struct {
	Pages    *web.Pages
	Visitors web.Visitors
	Sessions Sessions
	Ledger   Ledger
	Cards    Cards
	Desk     Desk
	Links    Links
	Health   Health
	Rooms    Rooms
	Names    Names
	Policies Policies
	Clock    invites.Clock
	Level    func(id.UserID) (permitted, operator bool) // the operator's permissions now
	Log      zerolog.Logger
}

// Dashboard serves the pages. New makes it.
type Dashboard struct {
	Options
	views     *web.Meters[netip.Addr] // requests of one browser
	wrong     *web.Meters[netip.Addr] // logins that there are not, asked for by one browser
	each      *web.Meters[id.UserID]  // requests of one person
	reads     chan struct{}
	acts      chan struct{}
	templates *template.Template
	style     string // names the style sheet: it changes with it
}

// Limits of requests, each with what comes back in which time.
const (
	maxViews, viewsBack = 120, time.Second
	maxWrong, wrongBack = 10, 30 * time.Second
	maxEach, eachBack   = 60, time.Second
	maxForm             = 4096             // bytes
	maxAtOnce           = 3                // pages under way, and actions: the readers of the database are more
	maxWait             = 5 * time.Second  // for one of them to end
	maxTime             = 10 * time.Second // of a page, which may wait for the homeserver
)

// New makes the pages.
func New(o Options) *Dashboard {
	return &Dashboard{
		Options: o, views: web.NewMeters[netip.Addr](viewsBack, maxViews), wrong: web.NewMeters[netip.Addr](wrongBack, maxWrong),
		each: web.NewMeters[id.UserID](eachBack, maxEach), reads: make(chan struct{}, maxAtOnce), acts: make(chan struct{}, maxAtOnce),
		templates: template.Must(template.ParseFS(files, "pages/*.html")), style: version("static/dashboard.css"),
	}
}

// Routes implements web.Part.
func (d *Dashboard) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /static/dashboard.css", serveStyle)
	mux.HandleFunc("GET /login/{secret}", d.open(d.offer))
	mux.HandleFunc("POST /login/{secret}", d.open(d.enter))
	mux.HandleFunc("POST /logout", d.entered(d.leave))
	mux.HandleFunc("GET /rooms", d.entered(d.rooms))
	mux.HandleFunc("GET /rooms/{room}", d.inRoom(d.overview))
	mux.HandleFunc("POST /rooms/{room}/cards", d.inRoom(d.vote))
	mux.HandleFunc("GET /rooms/{room}/ledger", d.inRoom(d.ledger))
	mux.HandleFunc("GET /rooms/{room}/people/{user}", d.inRoom(d.person))
	mux.HandleFunc("GET /rooms/{room}/tree", d.inRoom(d.tree))
	mux.HandleFunc("GET /rooms/{room}/stats", d.inRoom(d.stats))
	mux.HandleFunc("GET /rooms/{room}/audit", d.inRoom(d.audit))
	mux.HandleFunc("GET /rooms/{room}/links/{number}", d.inRoom(d.uses))
	mux.HandleFunc("POST /rooms/{room}/links/{number}/revoke", d.inRoom(d.revoke))
	mux.HandleFunc("GET /health", d.entered(d.health))
}

// errHidden means: there is no such page, or it is not for this person.
var errHidden = errors.New("dashboard: hidden")

// open handles a request of anybody.
func (d *Dashboard) open(handle func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v := d.newVisit(w, r)
		if from := d.Visitors.Address(r); d.wrong.Spent(from) || !d.views.Take(from, 1) {
			v.wait()
			return
		}
		leave, ctx := d.enterSlot(r)
		if leave == nil {
			v.wait()
			return
		}
		defer leave()
		v.r = r.WithContext(ctx)
		switch err := handle(v); {
		case err == nil || r.Context().Err() != nil:
		case errors.Is(err, errHidden), errors.Is(err, judge.ErrKickPower), errors.Is(err, judge.ErrNotJoined), errors.Is(err, invites.ErrNotFound), errors.Is(err, invites.ErrNoView):
			v.tell(http.StatusNotFound, v.Say("dash.hidden"), v.Say("dash.hidden.why"))
		default:
			d.Log.Warn().Err(err).Msg("Page of the dashboard not made")
			v.tell(http.StatusServiceUnavailable, v.Say("page.trouble"), v.Say("page.trouble.again"))
		}
	}
}

// enterSlot waits until a request may go on, and returns the function to call at its end, and the context of a page. Without a function it
// waited for too long.
func (d *Dashboard) enterSlot(r *http.Request) (leave func(), ctx context.Context) {
	slots, ctx, cancel := d.acts, r.Context(), context.CancelFunc(func() {})
	if r.Method != http.MethodPost {
		slots = d.reads
		ctx, cancel = context.WithTimeout(ctx, maxTime)
	}
	waiting, stop := context.WithTimeout(r.Context(), maxWait)
	defer stop()
	select {
	case slots <- struct{}{}:
		return func() { <-slots; cancel() }, ctx
	case <-waiting.Done():
		cancel()
		return nil, nil
	}
}

// entered handles a request of a session. A form must come from a page of the same session.
func (d *Dashboard) entered(handle func(*visit) error) http.HandlerFunc {
	return d.open(func(v *visit) error {
		found, err := d.session(v)
		if errors.Is(err, invites.ErrNotFound) {
			v.tell(http.StatusForbidden, v.Say("dash.closed"), v.Say("dash.closed.how"))
			return nil
		} else if err != nil {
			return err
		}
		v.User = found.User
		if !d.each.Take(v.User, 1) {
			v.wait()
			return nil
		}
		if v.r.Method == http.MethodPost && (!d.Pages.Ours(v.r) || subtle.ConstantTimeCompare([]byte(v.r.PostFormValue("form")), []byte(v.Form)) != 1) {
			v.tell(http.StatusForbidden, v.Say("page.elsewhere"), v.Say("page.elsewhere.again"))
			return nil
		}
		return handle(v)
	})
}

// session finds the session of a request. It ends with its person's permission.
func (d *Dashboard) session(v *visit) (invites.Session, error) {
	cookie, err := v.r.Cookie(d.cookieName())
	if err != nil {
		return invites.Session{}, invites.ErrNotFound
	}
	secret := sessions.Secret(cookie.Value)
	found, err := d.Sessions.Find(v.r.Context(), secret)
	if err != nil {
		return found, err
	}
	permitted, operator := d.Level(found.User)
	if !permitted {
		return found, invites.ErrNotFound
	}
	v.secret, v.Form, v.Operator = secret, secret.Form(), operator
	return found, nil
}

// inRoom handles a request about a room, for somebody who may read its audit.
func (d *Dashboard) inRoom(handle func(*visit) error) http.HandlerFunc {
	return d.entered(func(v *visit) error {
		v.Room = id.RoomID(v.r.PathValue("room"))
		if err := d.Ledger.MayAudit(v.r.Context(), v.User, v.Room); err != nil {
			return err
		}
		v.RoomName = v.name(v.Room)
		return handle(v)
	})
}

// name is the name of a room, or its id.
func (v *visit) name(r id.RoomID) string {
	if name := v.d.Names.Name(v.r.Context(), r, v.User); name != "" {
		return web.Visible(name)
	}
	return web.Visible(string(r))
}
