package dashboard_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/links"
	"usher/policy"
)

const bob = invitestest.Bob

// post sends a form with the token of the session.
func (b *browser) post(t *testing.T, path string, fields url.Values) *httptest.ResponseRecorder {
	t.Helper()
	fields.Set("form", token.FindStringSubmatch(b.has(t, "/rooms", 200))[1])
	return b.ask("POST", path, fields.Encode())
}

func vote(in id.RoomID, number int, choice string) url.Values {
	return url.Values{"in": {string(in)}, "number": {fmt.Sprint(number)}, "choice": {choice}, "reason": {"<i>because</i>"}}
}

// asks has carol ask for an invitation that needs approval.
func (o *office) asks(t *testing.T, target id.UserID, power ...int) {
	t.Helper()
	o.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100, string(carol): append(power, 0)[0]}})
	o.HS.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "approval": map[string]any{"required": true, "level": 50}})
	rows, err := o.Ask(t.Context(), o.Request(t, carol, target))
	if err != nil || rows[0].Status != invites.StatusWaiting {
		t.Fatalf("%+v, %v", rows, err)
	}
}

// TestVote: a vote on a page counts as a command's does, judged anew, and needs no event in a room.
func TestVote(t *testing.T) {
	o := open(t, "https://usher.example")
	o.asks(t, "@<b>x</b>:here")
	o.asks(t, bob)
	mine, hers := o.login(t, alice), o.login(t, carol)
	mine.has(t, page(""), 200, "@carol:here asks to invite @bob:here.", "&lt;b&gt;x&lt;/b&gt;", "!<b>x", "#1", "#2")
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no token":            mine.ask("POST", page("/cards"), vote(lobby, 2, "accept").Encode()),
		"another site":        mine.ask("POST", page("/cards"), vote(lobby, 2, "accept").Encode(), "Sec-Fetch-Site", "cross-site"),
		"nobody":              (&browser{office: o}).ask("POST", page("/cards"), vote(lobby, 2, "accept").Encode()),
		"nobody, with a form": (&browser{office: o}).ask("POST", page("/cards"), vote(lobby, 2, "accept").Encode()+"&form="),
	} {
		if w.Code != 403 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := hers.post(t, page("/cards"), vote(lobby, 2, "accept")); w.Code != 404 {
		t.Errorf("somebody without power: %d", w.Code)
	}
	for fields, want := range map[string]int{vote(lobby, 9, "accept").Encode(): 409, vote("!other:here", 2, "accept").Encode(): 409, vote(lobby, 2, "maybe").Encode(): 404, vote(lobby, 2, "ban").Encode(): 409} {
		form, _ := url.ParseQuery(fields)
		if w := mine.post(t, page("/cards"), form); w.Code != want {
			t.Errorf("%s: %d, want %d", fields, w.Code, want)
		}
	}
	if len(o.HS.Acts()) > 0 {
		t.Fatalf("sent %+v", o.HS.Acts())
	}
	w := mine.post(t, page("/cards"), vote(lobby, 2, "accept"))
	if w.Code != 303 || !strings.HasSuffix(w.Header().Get("Location"), page("?said=accepted")) {
		t.Fatalf("%d to %s: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if acts := o.HS.Acts(); len(acts) != 1 || acts[0].Target != bob || len(o.shown) == 0 {
		t.Errorf("sent %+v, shown %+v", acts, o.shown)
	}
	mine.has(t, page("?said=accepted"), 200, "Approved.", "!asks to invite @bob:here")
	if w := mine.post(t, page("/cards"), vote(lobby, 2, "accept")); w.Code != 409 {
		t.Errorf("a second time: %d", w.Code)
	}
	if w := mine.post(t, page("/cards"), vote(lobby, 1, "decline")); w.Code != 303 || !strings.HasSuffix(w.Header().Get("Location"), "said=declined") {
		t.Errorf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	mine.has(t, page("/audit"), 200, "decided", "@bob:here")
	mine.has(t, page("/audit?user=@nobody:here"), 200, "Nothing is on record")
}

// TestOwnQuestion: nobody decides their own.
func TestOwnQuestion(t *testing.T) {
	o := open(t, "https://usher.example")
	o.asks(t, bob, 50)
	hers := o.login(t, carol)
	hers.has(t, page(""), 200, "Others decide this one.", "!Approve")
	if w := hers.post(t, page("/cards"), vote(lobby, 1, "accept")); w.Code != 409 || !strings.Contains(w.Body.String(), "Whoever asks does not decide") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// TestRevoke: a link is shown with its uses, and revoked by people who may.
func TestRevoke(t *testing.T) {
	o := open(t, "https://usher.example")
	l, secret, err := o.Links.Create(t.Context(), links.Wish{Maker: alice, Rooms: []id.RoomID{lobby}, Uses: 3, Note: "<b>note</b>"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.UseLink(t.Context(), l, bob); err != nil {
		t.Fatal(err)
	}
	mine, hers := o.login(t, alice), o.login(t, carol)
	path := page(fmt.Sprintf("/links/%d", l.ID))
	mine.has(t, page(""), 200, "used 1 of 3 times", "&lt;b&gt;note", path, "!"+string(secret))
	mine.has(t, path, 200, "@bob:here", "&lt;b&gt;Lobby", "!"+string(secret))
	mine.has(t, page("/links/99"), 404)
	hers.has(t, path, 404)
	if w := hers.post(t, path+"/revoke", url.Values{}); w.Code != 404 {
		t.Errorf("somebody without power: %d", w.Code)
	}
	if w := mine.ask("POST", path+"/revoke", ""); w.Code != 403 {
		t.Errorf("without a token: %d", w.Code)
	}
	if w := mine.post(t, path+"/revoke", url.Values{}); w.Code != 303 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	mine.has(t, page("?said=revoked"), 200, "The link is revoked.", "There are no invite links.")
	if got, _ := o.DB.Link(t.Context(), l.ID); got.EndedBy != alice {
		t.Errorf("%+v", got)
	}
}

// TestHealthIsForOperators, and for nobody else.
func TestHealthIsForOperators(t *testing.T) {
	o := open(t, "https://usher.example")
	b := o.login(t, carol)
	b.has(t, "/health", 404, "!1.2.3")
	b.has(t, "/rooms", 200, "!/health")
	o.level = 2
	b.has(t, "/health", 200, "1.2.3", "the device for encrypted rooms is not set up yet", `<a href="#events">7</a>`, `id="events"`, "m.&lt;b&gt;x", `<a href="#open">1</a>`, `id="open"`, "M_LIMIT_EXCEEDED", `<a href="#unread">5</a>`, `id="unread"`, "cut &lt;off", "The first 20 are shown.", `href="`+page("")+`"`)
	b.has(t, "/rooms", 200, "/health")
	b.has(t, page(""), 404) // an operator has no more right in rooms than others
}

// TestNumbersLeadToRows: each number of the statistics is the number of rows behind its link.
func TestNumbersLeadToRows(t *testing.T) {
	o := open(t, "https://usher.example")
	o.fill(t, 40, o.Clock.Now(), 3*24*time.Hour)
	b := o.login(t, alice)
	w := b.has(t, page("/stats"), 200, "<svg", "accepted")
	found := 0
	for _, m := range numbers.FindAllStringSubmatch(w, -1) {
		rows := b.has(t, strings.ReplaceAll(m[1], "&amp;", "&"), 200)
		if got := strings.Count(rows, "<tr><td"); fmt.Sprint(got) != m[2] {
			t.Errorf("%s leads to %d rows", m[0], got)
		}
		if found++; found == 30 {
			break
		}
	}
	if found < 10 {
		t.Errorf("%d numbers in %s", found, w)
	}
}
