package dashboard

import (
	"errors"
	"net/http"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/sessions"
)

// cookieName is the name of the cookie of a session. Browsers take the prefixes only from the site itself, by HTTPS.
func (d *Dashboard) cookieName() string {
	switch {
	case !d.Pages.Secure():
		return "usher"
	case d.Pages.Path() != "": // other services share the host name, and are to get no cookie
		return "__Secure-usher"
	}
	return "__Host-usher"
}

// setCookie gives the browser the secret of its session, or takes it away.
func (d *Dashboard) setCookie(w http.ResponseWriter, secret sessions.Secret) {
	c := &http.Cookie{
		Name: d.cookieName(), Value: string(secret), Path: d.Pages.Path() + "/", MaxAge: int(sessions.SessionFor.Seconds()),
		Secure: d.Pages.Secure(), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// loginPage asks whether to log in.
type loginPage struct {
	*visit
	Who    id.UserID
	Action string
}

// offer shows the button of a login. It changes nothing: previews of links ask for it, too.
func (d *Dashboard) offer(v *visit) error {
	secret := sessions.Secret(v.r.PathValue("secret"))
	who, err := d.Sessions.Offers(v.r.Context(), secret)
	if err != nil {
		return v.noLogin(err)
	}
	v.Title = v.Say("dash.login")
	v.show(http.StatusOK, "login.html", loginPage{v, who, v.To("/login/" + string(secret))})
	return nil
}

// enter logs a browser in.
func (d *Dashboard) enter(v *visit) error {
	if !d.Pages.Ours(v.r) {
		v.tell(http.StatusForbidden, v.Say("page.elsewhere"), v.Say("page.elsewhere.again"))
		return nil
	}
	secret, session, err := d.Sessions.Enter(v.r.Context(), sessions.Secret(v.r.PathValue("secret")))
	if err != nil {
		return v.noLogin(err)
	}
	d.Log.Info().Stringer("user", session.User).Msg("Logged in to the dashboard")
	d.setCookie(v.w, secret)
	v.redirect(v.To("/rooms"))
	return nil
}

// noLogin answers that a login does not work. Who guesses is soon answered no more.
func (v *visit) noLogin(err error) error {
	if !errors.Is(err, invites.ErrNotFound) {
		return err
	}
	v.d.wrong.Take(v.d.Visitors.Address(v.r), 1)
	v.tell(http.StatusNotFound, v.Say("dash.login.ended"), v.Say("dash.closed.how"))
	return nil
}

// leave logs a browser out.
func (d *Dashboard) leave(v *visit) error {
	if err := d.Sessions.Leave(v.r.Context(), v.secret); err != nil {
		return err
	}
	d.setCookie(v.w, "")
	v.User = ""
	v.tell(http.StatusOK, v.Say("dash.left"), v.Say("dash.closed.how"))
	return nil
}
