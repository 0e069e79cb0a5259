package dashboard_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
	"usher/invites/sessions"
	"usher/room"
	"usher/web"
	"usher/web/dashboard"
)

const (
	alice = invitestest.Alice // may kick in the lobby
	carol = invitestest.Carol // may not
	lobby = invitestest.Lobby
)

// office is a dashboard over a model room.
type office struct {
	*invitestest.World
	site  *web.Site
	shown []cards.Ballot
	level int // of everybody: 0 nothing, 1 user, 2 operator
}

// Show carries a closed card out, as the desk of a chat does.
func (o *office) Show(ctx context.Context, b cards.Ballot) error {
	o.shown = append(o.shown, b)
	if b.Card.State == invites.CardOpen {
		return nil
	}
	_, err := o.Cards.CarryOut(ctx, b.Card)
	return err
}

type healthy struct{}

func (healthy) State(context.Context) (dashboard.State, error) {
	return dashboard.State{Version: "1.2.3", Faults: []room.Phrase{room.Say("ready.device")}, Events: 7, Open: 1, Quarantine: 5,
		Waiting: []invites.Received{{Room: lobby, Type: "m.<b>x"}}, Next: []invites.Change{{Room: lobby, Action: room.Invite, Code: "M_LIMIT_EXCEEDED"}}, Unread: []invites.Undecodable{{Fault: "cut <off"}}}, nil
}

type rooms []id.RoomID

func (r rooms) All(context.Context) ([]id.RoomID, error) { return r, nil }

func open(t testing.TB, address string) *office {
	t.Helper()
	o := &office{World: invitestest.NewWorld(t), level: 1}
	o.Sessions.Address = address
	o.HS.Set(lobby, "m.room.name", "", alice, map[string]any{"name": `<b>Lobby</b> "x" ` + "\u202e"})
	pages := web.NewPages(address, "mark")
	o.site = web.New(web.Options{Log: zerolog.Nop(), Pages: pages, Others: []web.Part{dashboard.New(dashboard.Options{
		Pages: pages, Sessions: o.Sessions, Ledger: o.Ledger, Cards: o.Cards, Desk: o, Links: o.Links, Health: healthy{}, Rooms: rooms{"!gone:here", lobby}, Names: o.Judge.Reach, Policies: o.Judge.Policies, Clock: o.Clock, Log: zerolog.Nop(),
		Level: func(id.UserID) (permitted, operator bool) { return o.level > 0, o.level > 1 },
	})}})
	return o
}

// browser keeps the cookie of a session.
type browser struct {
	*office
	cookie *http.Cookie
}

// ask makes a request as a browser on a page of the site does; each pair of headers is a name and a value.
func (b *browser) ask(method, path, form string, headers ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(form))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	b.site.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookie = c
	}
	return w
}

// login logs a browser in.
func (o *office) login(t testing.TB, user id.UserID) *browser {
	t.Helper()
	b := &browser{office: o}
	if w := b.ask("POST", o.offer(t, user), ""); w.Code != 303 || !strings.HasSuffix(w.Header().Get("Location"), "/rooms") {
		t.Fatalf("%d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return b
}

// offer returns the path of a login.
func (o *office) offer(t testing.TB, user id.UserID) string {
	t.Helper()
	address, err := o.Sessions.Offer(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(address, o.Sessions.Address)
}

// page is the path of a page about the lobby.
func page(tab string) string { return "/rooms/" + url.PathEscape(string(lobby)) + tab }

// has asks for a page, and checks its status and texts that it has, or has not where they begin with "!".
func (b *browser) has(t *testing.T, path string, status int, texts ...string) string {
	t.Helper()
	w := b.ask("GET", path, "")
	if w.Code != status {
		t.Errorf("%s: %d, want %d: %s", path, w.Code, status, w.Body)
	}
	for _, text := range texts {
		if not, is := strings.CutPrefix(text, "!"); strings.Contains(w.Body.String(), not) == is {
			t.Errorf("%s: %q in %s", path, text, w.Body)
		}
	}
	return w.Body.String()
}

var token = regexp.MustCompile(`name="form" value="([^"]+)"`)

// TestLogin: a login works once, its page uses nothing up, and its session ends.
func TestLogin(t *testing.T) {
	o := open(t, "https://usher.example")
	path := o.offer(t, alice)
	b := &browser{office: o}
	for range 3 { // a preview
		b.has(t, path, 200, "You log in as @alice:here", "!<script", "!"+`name="form"`)
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", ""}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site"}} {
		if w := b.ask("POST", path, "", headers...); w.Code != 403 || b.cookie != nil {
			t.Errorf("the form of another site, %q: %d", headers, w.Code)
		}
	}
	b.has(t, "/rooms", 403, "Please log in", "!Lobby")
	if w := b.ask("POST", path, "", "Sec-Fetch-Site", "", "Origin", "https://usher.example"); w.Code != 303 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	c := b.cookie
	if c.Name != "__Host-usher" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 {
		t.Errorf("cookie %+v", c)
	}
	again := &browser{office: o}
	if w := again.ask("POST", path, ""); w.Code != 404 || again.cookie != nil || !strings.Contains(w.Body.String(), "has ended") {
		t.Errorf("a second time: %d", w.Code)
	}
	again.has(t, path, 404)
	b.has(t, "/rooms", 200, "&lt;b&gt;Lobby&lt;/b&gt;", "!<b>Lobby", "!\u202e", "alice:here")
	w := b.ask("GET", "/rooms", "")
	for name, want := range map[string]string{"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language", "Referrer-Policy": "same-origin"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	o.Clock.Advance(12 * time.Hour)
	b.has(t, "/rooms", 403, "Please log in")

	path = o.offer(t, alice)
	o.Clock.Advance(10 * time.Minute)
	if w := (&browser{office: o}).ask("POST", path, ""); w.Code != 404 {
		t.Errorf("after ten minutes: %d", w.Code)
	}
}

// TestCookies: the name and the bounds of the cookie follow the public address.
func TestCookies(t *testing.T) {
	for address, want := range map[string]string{
		"https://usher.example/door": "__Secure-usher /door/ true", "http://127.0.0.1:1": "usher / false",
	} {
		o := open(t, address)
		b := &browser{office: o}
		if w := b.ask("POST", o.offer(t, alice), ""); w.Code != 303 || w.Header().Get("Location") != strings.TrimPrefix(strings.TrimPrefix(address, "https://usher.example"), "http://127.0.0.1:1")+"/rooms" {
			t.Errorf("%d to %s", w.Code, w.Header().Get("Location"))
		}
		secure := "false"
		if b.cookie.Secure {
			secure = "true"
		}
		if got := b.cookie.Name + " " + b.cookie.Path + " " + secure; got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// TestLogout: a session ends by its own form only, or by a command for all of them, or with the permission.
func TestLogout(t *testing.T) {
	o := open(t, "https://usher.example")
	b, other := o.login(t, alice), o.login(t, alice)
	form := token.FindStringSubmatch(b.has(t, "/rooms", 200))[1]
	foreign := token.FindStringSubmatch(other.has(t, "/rooms", 200))[1]
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no token":               b.ask("POST", "/logout", "form="),
		"the token of another":   b.ask("POST", "/logout", "form="+foreign),
		"another site":           b.ask("POST", "/logout", "form="+form, "Sec-Fetch-Site", "cross-site"),
		"another service":        b.ask("POST", "/logout", "form="+form, "Sec-Fetch-Site", "same-site"),
		"an unknown origin":      b.ask("POST", "/logout", "form="+form, "Sec-Fetch-Site", ""),
		"a token in the address": b.ask("POST", "/logout?form="+form, ""),
	} {
		if w.Code != 403 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	b.has(t, "/rooms", 200)
	kept := *b.cookie
	if w := b.ask("POST", "/logout", "form="+form); w.Code != 200 || b.cookie.MaxAge >= 0 {
		t.Errorf("%d, cookie %+v", w.Code, b.cookie)
	}
	b.cookie = &kept
	b.has(t, "/rooms", 403)
	other.has(t, "/rooms", 200)
	path := o.offer(t, alice)
	if n, err := o.Sessions.End(t.Context(), alice); n != 2 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	other.has(t, "/rooms", 403)
	other.has(t, path, 404)

	b = o.login(t, alice)
	o.level = 0
	b.has(t, "/rooms", 403)
}

// TestHidden: a room is there for people with the power to kick, as long as they have it.
func TestHidden(t *testing.T) {
	o := open(t, "https://usher.example")
	mine, hers := o.login(t, alice), o.login(t, carol)
	gone := hers.has(t, "/rooms/%21nowhere:here", 404)
	for _, tab := range []string{"", "/ledger", "/people/@bob:here", "/tree", "/stats", "/audit"} {
		mine.has(t, page(tab), 200, "&lt;b&gt;Lobby")
		if got := hers.has(t, page(tab), 404, "!Lobby"); strings.ReplaceAll(got, page(tab), "") != strings.ReplaceAll(gone, "/rooms/%21nowhere:here", "") {
			t.Errorf("a hidden room differs from none:\n%s\n%s", got, gone)
		}
	}
	hers.has(t, "/rooms", 200, "no room with Usher", "!Lobby")
	o.Give(map[string]any{alice.String(): 100, carol.String(): 50})
	hers.has(t, page(""), 200)
	o.Give(map[string]any{alice.String(): 100})
	hers.has(t, page(""), 404)
	mine.has(t, page("?lang=de"), 200, `lang="de"`, "Überblick", page("/ledger?lang=de"))
}

// TestStrangersAreBounded: guessing ends soon, and so does asking.
func TestStrangersAreBounded(t *testing.T) {
	o := open(t, "https://usher.example")
	b := &browser{office: o}
	for range 10 {
		b.has(t, "/login/"+string(sessions.Secret("guess")), 404)
	}
	b.has(t, o.offer(t, alice), 429)
	b.has(t, "/rooms", 429)
}
