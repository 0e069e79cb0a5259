package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
	"usher/room"
)

// LinkCases are the use cases of links for somebody who has the secret.
type LinkCases interface {
	// ByPage returns the link of a page, or ErrNotFound.
	ByPage(ctx context.Context, secret links.Secret) (invites.Link, error)
	// State tells whether a link works now.
	State(ctx context.Context, l invites.Link) (links.State, error)
	// Rooms returns some rooms of a link, as far as the maker shows them, and the maker.
	Rooms(ctx context.Context, l invites.Link, rooms []id.RoomID) ([]links.Room, links.Maker, error)
	// Follow returns a use by its ticket with its stages, or ErrNotFound.
	Follow(ctx context.Context, l invites.Link, ticket string) (invites.LinkUse, []links.Progress, error)
}

// LinkUses invites people by links.
type LinkUses interface {
	// UseLink invites a user into the rooms of a link. The error is a links.Refusal where the link does not work.
	UseLink(ctx context.Context, l invites.Link, user id.UserID) (invites.LinkUse, []invites.Change, error)
}

// Pictures shows the pictures of rooms.
type Pictures interface {
	// Thumbnail returns a small picture with its content type.
	Thumbnail(ctx context.Context, uri id.ContentURIString) (picture []byte, contentType string, err error)
}

// Links serves the pages of invite links. NewLinks makes it.
type Links struct {
	LinkOptions
	views *Meters[netip.Addr] // pages and pictures of one browser
	tries *Meters[netip.Addr] // forms of one browser
	wrong *Meters[netip.Addr] // addresses of no link, asked for by one browser
	forms *Meters[int64]      // forms of one link
}

// LinkOptions are the parts of Links. All are required.
type LinkOptions struct {
	Pages    *Pages
	Cases    LinkCases
	Uses     LinkUses
	Pictures Pictures
	Visitors Visitors
	Bot      id.UserID
}

// Limits of requests, each with what comes back in which time.
const (
	maxViews, viewsBack = 120, time.Second
	maxTries, triesBack = 10, 10 * time.Second
	maxWrong, wrongBack = 10, 30 * time.Second
	maxForms, formsBack = 30, 5 * time.Second
	maxForm             = 4096 // bytes
)

// NewLinks makes the pages.
func NewLinks(o LinkOptions) *Links {
	return &Links{o, NewMeters[netip.Addr](viewsBack, maxViews), NewMeters[netip.Addr](triesBack, maxTries), NewMeters[netip.Addr](wrongBack, maxWrong),
		NewMeters[int64](formsBack, maxForms)}
}

func (s *Links) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /i/{secret}", s.entered(s.invitation))
	mux.HandleFunc("POST /i/{secret}", s.entered(s.form))
	mux.HandleFunc("GET /i/{secret}/{ticket}", s.entered(s.follow))
	mux.HandleFunc("GET /i/{secret}/picture/{number}", s.entered(s.picture))
}

// visit is one request for a link.
type visit struct {
	w      http.ResponseWriter
	r      *http.Request
	frame  *Frame
	secret links.Secret
	link   invites.Link
}

// self is the path of the link's page.
func (v *visit) self() string { return "/i/" + string(v.secret) }

// entered finds the link of a request. Who guesses is soon answered no more.
func (s *Links) entered(handle func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v := &visit{w: w, r: r, secret: links.Secret(r.PathValue("secret"))}
		v.frame = s.Pages.Frame(r, v.self())
		from := s.Visitors.Address(r)
		if s.wrong.Spent(from) || !s.views.Take(from, 1) {
			s.wait(v)
			return
		}
		var err error
		v.link, err = s.Cases.ByPage(r.Context(), v.secret)
		if errors.Is(err, invites.ErrNotFound) {
			s.wrong.Take(from, 1)
			s.end(v, invites.CodeLinkUnknown)
			return
		}
		if err == nil {
			err = handle(v)
		}
		if err != nil && r.Context().Err() == nil {
			s.Pages.tell(w, v.frame, http.StatusServiceUnavailable, v.frame.Say("page.trouble"), v.frame.Say("page.trouble.again"))
		}
	}
}

// wait answers that there were too many requests.
func (s *Links) wait(v *visit) {
	v.w.Header().Set("Retry-After", "60")
	s.Pages.tell(v.w, v.frame, http.StatusTooManyRequests, v.frame.Say("page.wait"), v.frame.Say("page.wait.again"))
}

// end answers that a link does not work.
func (s *Links) end(v *visit, code string) {
	f := v.frame
	status, why := http.StatusGone, f.Say("page.link.dead")
	switch code {
	case invites.CodeLinkUnknown:
		status, why = http.StatusNotFound, f.Say("page.link.unknown")
	case invites.CodeLinkRevoked:
		why = f.Say("page.link.revoked")
	case invites.CodeLinkExpired:
		why = f.Say("page.link.expired")
	case invites.CodeLinkUsedUp:
		why = f.Say("page.link.used_up")
	}
	s.Pages.tell(v.w, f, status, f.Say("page.link.ended"), why, f.Say("page.link.ask"))
}

// shownRoom is a room on a page.
type shownRoom struct {
	Name, Initial, Topic, Picture string
	Members                       int64
}

// linkPage is the page of a link.
type linkPage struct {
	*Frame
	Maker, Welcome, Bot, Code, Self, Typed, Wrong string
	BotLink, BotWeb                               template.URL
	Approve, Knock                                bool
	Rooms                                         []shownRoom
}

// invitation shows a link. It changes nothing: previews of links ask for it, too.
func (s *Links) invitation(v *visit) error {
	state, err := s.Cases.State(v.r.Context(), v.link)
	if err != nil {
		return err
	}
	if state.Code != "" {
		s.end(v, state.Code)
		return nil
	}
	return s.ask(v, state.Rooms, http.StatusOK, "", "")
}

// ask shows the form of a link.
func (s *Links) ask(v *visit, open []id.RoomID, status int, typed, wrong string) error {
	rooms, maker, err := s.Cases.Rooms(v.r.Context(), v.link, open)
	if err != nil {
		return err
	}
	p := linkPage{
		Frame: v.frame, Maker: makerName(maker), Welcome: Visible(v.link.Welcome), Bot: string(s.Bot), Code: v.secret.Code(), Self: s.Pages.Address(v.self(), v.frame.Lang),
		BotLink: userLink(s.Bot), BotWeb: matrixTo(string(s.Bot), nil), Approve: v.link.Approve, Typed: typed, Wrong: wrong,
	}
	for _, r := range rooms {
		shown := shownRoom{Name: s.name(v, r), Topic: Visible(r.Topic), Members: r.Members}
		shown.Initial = initial(shown.Name)
		if r.Picture != "" {
			shown.Picture = s.Pages.base + v.self() + "/picture/" + strconv.Itoa(slices.Index(v.link.Rooms, r.Room))
		}
		p.Rooms, p.Knock = append(p.Rooms, shown), p.Knock || r.Knock
	}
	p.Title = v.frame.Say("page.link.title", "room", p.Rooms[0].Name)
	if len(p.Rooms) > 1 {
		p.Title = v.frame.Say("page.link.title.many", "n", len(p.Rooms))
	}
	s.Pages.show(v.w, status, "link.html", p)
	return nil
}

// name is the name of a room on a page.
func (s *Links) name(v *visit, r links.Room) string {
	switch {
	case r.Name != "":
		return Visible(r.Name)
	case r.Space:
		return v.frame.Say("page.link.space")
	}
	return v.frame.Say("page.link.room")
}

// makerName is the maker of a link: the id is certain, the name is the maker's own choice.
func makerName(m links.Maker) string {
	if m.Name == "" || m.Name == string(m.User) {
		return string(m.User)
	}
	return Visible(m.Name) + " (" + string(m.User) + ")"
}

// initial stands for a picture.
func initial(name string) string {
	first, _ := utf8.DecodeRuneInString(name)
	return string(first)
}

// form takes the form of a link.
func (s *Links) form(v *visit) error {
	if s.Pages.elsewhere(v.r) {
		s.Pages.tell(v.w, v.frame, http.StatusForbidden, v.frame.Say("page.elsewhere"), v.frame.Say("page.elsewhere.again"))
		return nil
	}
	if !s.tries.Take(s.Visitors.Address(v.r), 1) || !s.forms.Take(v.link.ID, 1) {
		s.wait(v)
		return nil
	}
	ctx := v.r.Context()
	state, err := s.Cases.State(ctx, v.link)
	if err != nil {
		return err
	}
	typed := v.r.PostFormValue("user")
	user, wrong := readUser(typed)
	if !wrong.Empty() && state.Code == "" {
		return s.ask(v, state.Rooms, http.StatusUnprocessableEntity, Visible(room.Shorten(typed, maxUser)), v.frame.voice.Text(wrong))
	}
	if v.r.PostFormValue("way") == "knock" && state.Code == "" {
		return s.knock(v, state.Rooms, user)
	}
	if state.Code != "" && state.Code != invites.CodeLinkUsedUp || !wrong.Empty() { // a used-up link still leads its users to their invitations
		s.end(v, state.Code)
		return nil
	}
	use, rows, err := s.Uses.UseLink(ctx, v.link, user)
	if refusal := (links.Refusal{}); errors.As(err, &refusal) {
		s.end(v, refusal.Code)
		return nil
	} else if err != nil {
		return err
	}
	if !slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Status != invites.StatusRefused }) {
		s.Pages.tell(v.w, v.frame, http.StatusForbidden, v.frame.Say("page.link.no"), v.frame.Say("page.link.no.why"))
		return nil
	}
	http.Redirect(v.w, v.r, s.Pages.Address(v.self()+"/"+use.Ticket, v.frame.Lang), http.StatusSeeOther)
	return nil
}

// picture sends the picture of a room that the maker shows.
func (s *Links) picture(v *visit) error {
	n, err := strconv.Atoi(v.r.PathValue("number"))
	if err != nil || n < 0 || n >= len(v.link.Rooms) {
		http.NotFound(v.w, v.r)
		return nil
	}
	rooms, _, err := s.Cases.Rooms(v.r.Context(), v.link, v.link.Rooms[n:n+1])
	if err != nil || rooms[0].Picture == "" {
		http.NotFound(v.w, v.r)
		return err
	}
	picture, kind, err := s.Pictures.Thumbnail(v.r.Context(), rooms[0].Picture)
	if err != nil || !slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, kind) {
		http.NotFound(v.w, v.r)
		return nil
	}
	Guard(v.w.Header())
	v.w.Header().Set("Content-Type", kind)
	v.w.Header().Set("Cache-Control", "private, max-age=3600")
	_, _ = v.w.Write(picture)
	return nil
}
