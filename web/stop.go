package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"usher/invites"
)

// Unsubscribing is the use case of the page by which people end letters to their address.
type Unsubscribing interface {
	// Blocked reports whether the address of a token gets no letters. A token of nobody is ErrNotFound.
	Blocked(ctx context.Context, token string) (bool, error)
	// Block has the address of a token get no letters any more; with off, it gets letters again.
	Block(ctx context.Context, token string, off bool) error
}

// Stop serves the page behind the link in each letter by which its recipient ends all of them. NewStop makes it.
type Stop struct {
	pages    *Pages
	cases    Unsubscribing
	visitors Visitors
	views    *meters[netip.Addr]
}

// NewStop makes the page.
func NewStop(pages *Pages, cases Unsubscribing, visitors Visitors) *Stop {
	return &Stop{pages, cases, visitors, newMeters[netip.Addr](viewsBack, maxViews)}
}

func (s *Stop) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /u/{token}", s.entered(false))
	mux.HandleFunc("POST /u/{token}", s.entered(true))
}

// stopPage asks, or tells what was done.
type stopPage struct {
	*frame
	Self, Text string
	Blocked    bool
}

// entered answers a request. GET changes nothing: programs that look for viruses follow each link of a letter. POST comes from the page's button, or
// from the button of a mail program (https://www.rfc-editor.org/rfc/rfc8058), which sends nothing about itself.
func (s *Stop) entered(change bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		token := r.PathValue("token")
		f := s.pages.frame(r, "/u/"+token)
		switch {
		case !s.views.take(s.visitors.address(r), 1):
			w.Header().Set("Retry-After", "60")
			s.pages.tell(w, f, http.StatusTooManyRequests, f.Say("page.wait"), f.Say("page.wait.again"))
			return
		case change && s.pages.elsewhere(r):
			s.pages.tell(w, f, http.StatusForbidden, f.Say("page.elsewhere"), f.Say("page.elsewhere.again"))
			return
		}
		text := f.Say("page.stop.ask")
		var err error
		if change {
			off := r.PostFormValue("way") == "back"
			if text = f.Say("page.stop.done"); off {
				text = f.Say("page.stop.on")
			}
			err = s.cases.Block(r.Context(), token, off)
		}
		blocked := false
		if err == nil {
			blocked, err = s.cases.Blocked(r.Context(), token)
		}
		switch {
		case errors.Is(err, invites.ErrNotFound):
			s.pages.tell(w, f, http.StatusNotFound, f.Say("page.stop"), f.Say("page.stop.unknown"))
			return
		case err != nil:
			if r.Context().Err() == nil {
				s.pages.tell(w, f, http.StatusServiceUnavailable, f.Say("page.trouble"), f.Say("page.trouble.again"))
			}
			return
		case blocked:
			text = f.Say("page.stop.done")
		}
		f.Title = f.Say("page.stop")
		s.pages.show(w, http.StatusOK, "stop.html", stopPage{f, s.pages.address("/u/"+token, f.Lang), text, blocked})
	}
}
