package dashboard

import (
	"net/http"
	"strconv"

	"usher/invites"
)

// shownLink is an invite link.
type shownLink struct {
	*visit
	invites.Link
	Dead string // why it does not work; empty: it works
	Mine bool
	Page string // address of the page with its uses
}

// links returns the links into the room, as far as the person may know of them.
func (v *visit) links() ([]shownLink, error) {
	found, err := v.d.Links.List(v.r.Context(), v.User, v.Room)
	var list []shownLink
	for _, l := range found {
		one, err := v.link(l)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, err
}

func (v *visit) link(l invites.Link) (shownLink, error) {
	state, err := v.d.Links.State(v.r.Context(), l)
	one := shownLink{visit: v, Link: l, Mine: l.Maker == v.User, Page: v.At("links/" + strconv.FormatInt(l.ID, 10))}
	if state.Code != "" {
		one.Dead = v.Tell(state.Reason)
	}
	return one, err
}

// linkPage shows a link with its uses.
type linkPage struct {
	shownLink
	Opens []string
	Uses  []invites.LinkUse
	More  bool
}

// findLink finds the link of a request, which must open the room of the page, with the rooms of which the person may know: to others than its maker
// those where they look after links.
func (v *visit) findLink() (invites.Link, error) {
	number, err := strconv.ParseInt(v.r.PathValue("number"), 10, 64)
	if err != nil {
		return invites.Link{}, errHidden
	}
	l, moderates, err := v.d.Links.Find(v.r.Context(), v.User, number)
	if err != nil {
		return l, err
	}
	if l.Maker != v.User {
		l.Rooms = moderates
	}
	for _, r := range l.Rooms {
		if r == v.Room {
			return l, nil
		}
	}
	return l, errHidden
}

// uses shows a link with its uses.
func (d *Dashboard) uses(v *visit) error {
	l, err := v.findLink()
	if err != nil {
		return err
	}
	p := linkPage{}
	if p.shownLink, err = v.link(l); err != nil {
		return err
	}
	if p.Uses, err = d.Links.Uses(v.r.Context(), v.User, l.ID, maxRows+1); err != nil {
		return err
	}
	if len(p.Uses) > maxRows {
		p.Uses, p.More = p.Uses[:maxRows], true
	}
	for _, r := range l.Rooms {
		p.Opens = append(p.Opens, v.name(r))
	}
	v.Title, v.Tab = v.Say("dash.link", "number", l.ID), "overview"
	v.show(http.StatusOK, "link.html", p)
	return nil
}

// revoke ends a link, as the command does.
func (d *Dashboard) revoke(v *visit) error {
	l, err := v.findLink()
	if err != nil {
		return err
	}
	if _, err := d.Links.Revoke(v.r.Context(), v.User, l.ID); err != nil {
		return err
	}
	v.redirect(v.At("", "said", "revoked"))
	return nil
}
