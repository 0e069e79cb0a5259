package web

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/links"
	"usher/words"
)

// desk is a site over a model room.
type desk struct {
	*invitestest.World
	site   *Site
	link   invites.Link
	secret links.Secret
}

type noPictures struct{}

func (noPictures) Thumbnail(context.Context, id.ContentURIString) ([]byte, string, error) {
	return []byte("<script>"), "text/html; charset=utf-8", nil
}

// open makes a site with a link that alice made.
func open(t *testing.T, change ...func(*links.Wish)) *desk {
	t.Helper()
	d := &desk{World: invitestest.NewWorld(t)}
	pages := NewPages("https://usher.example/door", "mark")
	d.site = New(Options{Log: zerolog.Nop(), Pages: pages, Links: NewLinks(LinkOptions{
		Pages: pages, Cases: d.Links, Uses: d.Requests, Pictures: noPictures{}, Bot: invitestest.Bot,
		Visitors: Visitors{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Relay: "secret"},
	})})
	d.HS.Set(invitestest.Lobby, "m.room.name", "", invitestest.Alice, map[string]any{"name": `<b>Lobby</b> "x" ` + "\u202e" + `javascript:alert(1)`})
	wish := links.Wish{Maker: invitestest.Alice, Rooms: []id.RoomID{invitestest.Lobby}, Uses: 2, Shows: []string{"name", "topic", "picture", "members"}, Welcome: "<i>hi</i>"}
	for _, c := range change {
		c(&wish)
	}
	var err error
	if d.link, d.secret, err = d.Links.Create(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	return d
}

// ask makes a request; each pair of headers is a name and a value.
func (d *desk) ask(method, path, form string, headers ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(form))
	r.RemoteAddr = "10.1.2.3:999"
	r.Header.Set("X-Forwarded-For", "203.0.113.1")
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	d.site.ServeHTTP(w, r)
	return w
}

func (d *desk) page() string { return "/i/" + string(d.secret) }

func user(name string) string { return url.Values{"user": {name}, "way": {"invite"}}.Encode() }

// TestLinkPage: from the page to the invitation, and to the join.
func TestLinkPage(t *testing.T) {
	d := open(t)
	for range 3 { // opening it changes nothing
		if w := d.ask("GET", d.page(), ""); w.Code != 200 || !strings.Contains(w.Body.String(), "alice:here") {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		if w := d.ask("HEAD", d.page(), ""); w.Code != 200 {
			t.Errorf("HEAD: %d", w.Code)
		}
	}
	if l, _ := d.DB.Link(t.Context(), d.link.ID); l.Used != 0 || len(d.HS.Acts()) != 0 {
		t.Fatalf("opening the page used the link %d times", l.Used)
	}
	w := d.ask("POST", d.page(), user("bob:HERE "))
	there := w.Header().Get("Location")
	if w.Code != 303 || !strings.HasPrefix(there, "/door"+d.page()+"/") || len(d.HS.Acts()) != 1 || d.HS.Acts()[0].Target != invitestest.Bob {
		t.Fatalf("%d to %s, sent %v", w.Code, there, d.HS.Acts())
	}
	there = strings.TrimPrefix(there, "/door")
	if w := d.ask("GET", there, ""); w.Code != 200 || !strings.Contains(w.Body.String(), "You are invited") || !strings.Contains(w.Body.String(), "matrix:roomid/lobby:here?action=join&amp;via=here") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	stage := strings.TrimSuffix(there, "?lang=en") + "?stage"
	if w := d.ask("GET", stage, ""); w.Body.String() != "invited" {
		t.Errorf("stage %q", w.Body)
	}
	d.HS.Member(invitestest.Lobby, invitestest.Bob, "join")
	if w := d.ask("GET", stage, ""); w.Body.String() != "joined" {
		t.Errorf("stage %q", w.Body)
	}
	if w := d.ask("GET", there, ""); !strings.Contains(w.Body.String(), "Welcome, ") || strings.Contains(w.Body.String(), "<script") {
		t.Errorf("after the join: %s", w.Body)
	}
	// Somebody who has used it comes back to the same page, and it costs no further use.
	if w := d.ask("POST", d.page(), user("@bob:here")); w.Code != 303 || strings.TrimPrefix(w.Header().Get("Location"), "/door") != there {
		t.Errorf("again: %d to %s", w.Code, w.Header().Get("Location"))
	}
	if l, _ := d.DB.Link(t.Context(), d.link.ID); l.Used != 1 || len(d.HS.Acts()) != 1 {
		t.Errorf("used %d times, sent %v", l.Used, d.HS.Acts())
	}
}

// TestLinkPageEnds: each end has its words, and nobody learns more than that.
func TestLinkPageEnds(t *testing.T) {
	const neutral = "You can&#39;t come in by this link"
	tests := []struct {
		name   string
		before func(*desk)
		status int // of the page
		form   int // of the form
		words  string
	}{
		{"expired", func(d *desk) { d.Clock.Advance(links.DefaultFor) }, 410, 410, "Its time is over."},
		{"revoked", func(d *desk) { _, _ = d.Links.Revoke(context.Background(), invitestest.Alice, d.link.ID) }, 410, 410, "It was taken back."},
		{"demoted", func(d *desk) { d.Give(map[string]any{}) }, 410, 410, "The person who made it can&#39;t invite"},
		{"gone", func(d *desk) { d.HS.Member(invitestest.Lobby, invitestest.Alice, "leave") }, 410, 410, "The person who made it can&#39;t invite"},
		{"used up", func(d *desk) {
			for _, other := range []id.UserID{"@x:there", "@y:there"} {
				_, _, _ = d.UseLink(context.Background(), d.link, other)
			}
		}, 410, 410, "as often as it may be"},
		{"banned", func(d *desk) { d.HS.Member(invitestest.Lobby, invitestest.Bob, "ban") }, 200, 403, neutral},
		{"denied", func(d *desk) { d.Govern(map[string]any{"whom": map[string]any{"deny_users": []string{"@bob:*"}}}) }, 200, 403, neutral},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t)
			tt.before(d)
			w := d.ask("GET", d.page(), "")
			if w.Code != tt.status || tt.status != 200 && !strings.Contains(w.Body.String(), tt.words) {
				t.Errorf("the page: %d %s", w.Code, w.Body)
			}
			if w = d.ask("POST", d.page(), user("@bob:here")); w.Code != tt.form || !strings.Contains(w.Body.String(), tt.words) {
				t.Errorf("the form: %d %s", w.Code, w.Body)
			}
			for _, tells := range []string{"ban", "policy", "invite.power", "@bob"} {
				if strings.Contains(w.Body.String(), tells) {
					t.Errorf("tells of %q: %s", tells, w.Body)
				}
			}
			if d.Membership(t, invitestest.Bob) == "invite" {
				t.Error("invited")
			}
		})
	}
}

// TestLastUseByForm: of many people at the same time, one gets the last use.
func TestLastUseByForm(t *testing.T) {
	d := open(t, func(w *links.Wish) { w.Uses = 1 })
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for _, name := range strings.Fields("a b c d e f g h") {
		all.Go(func() {
			switch w := d.ask("POST", d.page(), user("@"+name+":there")); w.Code {
			case 303:
				won.Add(1)
			case 410:
				lost.Add(1)
			default:
				t.Errorf("%d: %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 7 || len(d.HS.Acts()) != 1 {
		t.Errorf("%d won, %d lost, sent %v", won.Load(), lost.Load(), d.HS.Acts())
	}
}

// TestFormsFromElsewhere: a form of another site does nothing; a browser that tells nothing is believed.
func TestFormsFromElsewhere(t *testing.T) {
	d := open(t)
	for _, tt := range []struct {
		headers []string
		taken   bool
	}{
		{[]string{"Sec-Fetch-Site", "cross-site"}, false}, {[]string{"Sec-Fetch-Site", "same-site"}, false}, {[]string{"Origin", "https://evil.example"}, false},
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, false}, {[]string{"Origin", "https://usher.example.evil.example"}, false},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "null"}, true}, {[]string{"Origin", "https://usher.example"}, true}, {nil, true},
	} {
		w := d.ask("POST", d.page(), user("@bob:here"), tt.headers...)
		if (w.Code == 303) != tt.taken {
			t.Errorf("%v: %d", tt.headers, w.Code)
		}
	}
	if w := d.ask("GET", d.page()+"?"+user("@carol:there"), ""); w.Code != 200 || len(d.HS.Acts()) != 1 {
		t.Errorf("a form by GET: %d, sent %v", w.Code, d.HS.Acts())
	}
}

// TestGuessing: guesses are soon answered no more, and nobody else's are counted.
func TestGuessing(t *testing.T) {
	d := open(t)
	for n := range 12 {
		want := 404
		if n >= maxWrong {
			want = 429
		}
		if w := d.ask("GET", "/i/AAAAAAAAAAAAAAAAAAAAAAAA", "", "X-Forwarded-For", "198.51.100.7"); w.Code != want {
			t.Fatalf("guess %d: %d", n, w.Code)
		}
	}
	if w := d.ask("GET", d.page(), "", "X-Forwarded-For", "198.51.100.7"); w.Code != 429 {
		t.Errorf("a right guess after many: %d", w.Code)
	}
	// What the browser writes itself counts for nothing: the proxy adds the true address at the end.
	if w := d.ask("GET", d.page(), "", "X-Forwarded-For", "203.0.113.9, 198.51.100.7"); w.Code != 429 {
		t.Errorf("with an address made up: %d", w.Code)
	}
	if w := d.ask("GET", d.page(), ""); w.Code != 200 {
		t.Errorf("somebody else: %d", w.Code)
	}
	for n := range maxTries + 1 {
		if w := d.ask("POST", d.page(), user("nobody"), "X-Forwarded-For", "192.0.2.1"); (w.Code == 429) != (n == maxTries) {
			t.Errorf("form %d: %d", n, w.Code)
		}
	}
	if w := d.ask("GET", d.page()+"/AAAAAAAAAAAAAAAAAAAAAAAA", ""); w.Code != 303 {
		t.Errorf("the ticket of nobody: %d", w.Code)
	}
}

// TestPagesAreQuiet: no page sets a cookie, loads anything from elsewhere, or lets names of rooms make markup.
func TestPagesAreQuiet(t *testing.T) {
	d := open(t)
	d.HS.Set(invitestest.Lobby, "m.room.avatar", "", invitestest.Alice, map[string]any{"url": "mxc://here/abc"})
	d.HS.Set(invitestest.Lobby, "m.room.topic", "", invitestest.Alice, map[string]any{"topic": `</p><img src=x onerror=alert(1)>`})
	d.HS.Set(invitestest.Lobby, "m.room.join_rules", "", invitestest.Alice, map[string]any{"join_rule": "knock"})
	sent := d.ask("POST", d.page(), user("@bob:here"))
	pages := map[string]*httptest.ResponseRecorder{
		"link": d.ask("GET", d.page(), ""), "use": d.ask("GET", strings.TrimPrefix(sent.Header().Get("Location"), "/door"), ""), "unknown": d.ask("GET", "/i/x", ""),
		"wrong": d.ask("POST", d.page(), user(`"><script>alert(1)</script>`)), "knock": d.ask("POST", d.page(), url.Values{"user": {"@dora:there"}, "way": {"knock"}}.Encode()),
	}
	outside := regexp.MustCompile(`(?:src|href|action|data-ask)="([^"]*)"`)
	for name, w := range pages {
		body, h := w.Body.String(), w.Header()
		if h.Get("Set-Cookie") != "" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("X-Robots-Tag"), "noindex") ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none';") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s has the headers %v", name, h)
		}
		for _, m := range outside.FindAllStringSubmatch(body, -1) {
			if !strings.HasPrefix(m[1], "/door/") && !strings.HasPrefix(m[1], "matrix:") && !strings.HasPrefix(m[1], "https://matrix.to/#/") && m[1] != "https://matrix.org/try-matrix/" {
				t.Errorf("%s leads to %q", name, m[1])
			}
		}
		for _, bad := range []string{"<b>", "<i>", "<img src=x", "<script>", "ZgotmplZ", "\u202e", " style=", " onclick"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q: %s", name, bad, body)
			}
		}
		if !strings.HasPrefix(body, "<!DOCTYPE html>\n<html lang=\"en\">") || strings.Count(body, "<h1>") != 1 {
			t.Errorf("%s begins with %s", name, body[:40])
		}
	}
	if w := d.ask("GET", d.page()+"/picture/0", ""); w.Code != 404 {
		t.Errorf("a picture that is none: %d %s", w.Code, w.Header())
	}
	for _, n := range []string{"-1", "9", "x"} {
		if w := d.ask("GET", d.page()+"/picture/"+n, ""); w.Code != 404 {
			t.Errorf("picture %s: %d", n, w.Code)
		}
	}
	if pages["knock"].Code != 200 || !strings.Contains(pages["knock"].Body.String(), "usher.1.") || len(d.HS.Acts()) != 1 {
		t.Errorf("knock: %d %s", pages["knock"].Code, pages["knock"].Body)
	}
	for _, file := range []string{"page.css", "page.js", "icon.svg"} {
		if w := d.ask("GET", "/static/"+file, ""); w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", file, w.Code, w.Header())
		}
	}
}

// TestLanguages: the person's choice counts before the browser's, and each language that there is can be chosen.
func TestLanguages(t *testing.T) {
	d := open(t)
	for _, lang := range words.Languages() {
		chosen, asked := d.ask("GET", d.page()+"?lang="+lang, "", "Accept-Language", "fr"), d.ask("GET", d.page(), "", "Accept-Language", "fr;q=0.9, "+lang+"-AT;q=0.8, en;q=0.1")
		for _, w := range []*httptest.ResponseRecorder{chosen, asked} {
			if !strings.Contains(w.Body.String(), `<html lang="`+lang+`">`) {
				t.Errorf("%s: %s", lang, w.Body.String()[:60])
			}
			for _, other := range words.Languages() {
				if other != lang && !strings.Contains(w.Body.String(), d.page()+"?lang="+other+`"`) {
					t.Errorf("%s: no way to %s", lang, other)
				}
			}
		}
	}
	if w := d.ask("GET", d.page()+"?lang=%22%3E%3Cscript%3E", "", "Accept-Language", "xx"); !strings.Contains(w.Body.String(), `<html lang="en">`) {
		t.Errorf("an unknown language: %s", w.Body.String()[:60])
	}
}

func TestReadUser(t *testing.T) {
	for typed, want := range map[string]string{
		"@bob:here": "@bob:here", " bob:here ": "@bob:here", "@bob:HERE.org": "@bob:here.org", "https://matrix.to/#/@bob:here": "@bob:here",
		"https://matrix.to/#/%40bob%3Ahere?via=x": "@bob:here", "matrix:u/bob:here?action=chat": "@bob:here", "<@bob:here>": "@bob:here", "@bob:here:8448": "@bob:here:8448",
		"bob": "", "@bob": "", "": "", "bob@here.org": "", "@bob@here.org": "", "@bo b:here": "", "@bob:": "", "@:here": "", "@b\u202eob:here": "", "@bob:he/re": "", "!room:here": "",
		"@" + strings.Repeat("x", 300) + ":here": "",
	} {
		if got, wrong := readUser(typed); string(got) != want || wrong.Empty() != (want != "") {
			t.Errorf("%q is %q, %v", typed, got, wrong)
		}
	}
}

func TestVisitors(t *testing.T) {
	v := Visitors{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Relay: "secret"}
	for _, tt := range []struct{ peer, forwarded, relayed, want string }{
		{"203.0.113.1:5", "", "", "203.0.113.1"}, {"203.0.113.1:5", "198.51.100.1", "", "203.0.113.1"}, {"10.0.0.1:5", "198.51.100.1", "", "198.51.100.1"},
		{"10.0.0.1:5", "1.1.1.1, 198.51.100.1", "", "198.51.100.1"}, {"10.0.0.1:5", "198.51.100.1, 10.0.0.2", "", "198.51.100.1"}, {"10.0.0.1:5", "rubbish", "", "10.0.0.1"},
		{"@", "198.51.100.1", "", "198.51.100.1"}, {"192.0.2.5:1", "198.51.100.1", "secret", "198.51.100.1"}, {"192.0.2.5:1", "198.51.100.1", "guess", "192.0.2.5"},
		{"10.0.0.1:5", "2001:db8:1:2:3::4", "", "2001:db8:1:2::"}, {"[::ffff:203.0.113.1]:5", "", "", "203.0.113.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if tt.relayed != "" {
			r.Header.Set(RelayHeader, tt.relayed)
		}
		if got := v.Address(r).String(); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
