package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
	"usher/e2e/harness"
)

var loginAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/login/[\w-]+`)

// offered asks the bot for a login in a direct chat, and returns its address.
func (s *stage) offered(by *harness.Account, direct id.RoomID) string {
	by.Test().Helper()
	body := by.AwaitReply(by.Say(direct, "!dashboard"), s.Usher.Bot).Field("body")
	address := loginAddress.FindString(body)
	if address == "" {
		by.Test().Fatalf("no address: %s", body)
	}
	return address
}

// press sends a form of the page, and waits for a text on the next one.
func (b *browser) press(button, text string) {
	b.t.Helper()
	b.do(chromedp.Click(button, chromedp.ByQuery))
	b.shows(text)
}

// TestDashboard: people who look after rooms work with the dashboard in a real browser, and others get nowhere.
func TestDashboard(t *testing.T) {
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"web.listen": listen, "web.public_url": "http://" + listen}})
	direct := s.BotRoom(s.owner, harness.RoomOptions{Preset: "trusted_private_chat", Direct: true})
	hall := s.BotRoom(s.owner, harness.RoomOptions{Name: "<b>Hall</b>", Invite: []id.UserID{s.guest.ID}})
	s.guest.Join(hall)
	foreign := s.BotRoom(s.guest, harness.RoomOptions{Name: "Foreign room"})
	s.succeeds(s.owner, hall, "!policy set approval.required true")
	ann, ben := s.Account("ann"), s.Account("ben")
	s.guest.AwaitReply(s.guest.Say(hall, "!invite "+string(ann.ID)+" "+string(ben.ID)), s.Usher.Bot)
	s.owner.AwaitReply(s.owner.Say(hall, "!link create --uses 3 --note \"for the fair\""), s.Usher.Bot)
	s.owner.AwaitReply(s.owner.Say(hall, "!dashboard"), s.Usher.Bot) // nobody learns an address in a room

	b := openBrowser(t)
	login := s.offered(s.owner, direct)
	if status, body := fetch(t, login); status != http.StatusOK || !strings.Contains(body, "You log in as "+string(s.owner.ID)) { // a preview
		t.Errorf("the preview of a login: %d %s", status, body)
	}
	b.do(chromedp.Navigate(login))
	b.shows("You log in as " + string(s.owner.ID))
	b.look("login")
	b.press("main button", "<b>Hall</b>")
	b.lacks("Foreign room")
	b.look("rooms")
	home := "http://" + listen
	room := home + "/rooms/" + url.PathEscape(string(hall))
	b.do(chromedp.Navigate(room))
	b.shows("asks to invite " + string(ann.ID))
	b.look("room")
	b.press(`button[value="accept"]`, "Approved.")
	s.is(t, hall, ann.ID, "invite", s.guest.ID)
	b.press(`button[value="decline"]`, "Denied.")
	s.is(t, hall, ben.ID, "leave", "")
	b.press(`form[action*="/revoke"] button`, "There are no invite links.")
	if body := s.owner.AwaitReply(s.owner.Say(hall, "!link list"), s.Usher.Bot).Field("body"); !strings.Contains(body, "There are no invite links") {
		t.Errorf("after revoking: %s", body)
	}
	b.press(`.tabs a[href*="/ledger"]`, string(ann.ID))
	b.look("ledger")
	b.do(chromedp.SendKeys("#q", "ANN\r", chromedp.ByQuery))
	b.shows(string(ann.ID))
	b.lacks(string(s.guest.ID) + "\n")
	b.press(`td a[href*="/people/"]`, "People whom this person brought")
	b.look("person")
	for tab, text := range map[string]string{"tree": string(ann.ID), "stats": "Who invited most", "audit": "change the policy"} {
		b.press(`.tabs a[href*="/`+tab+`"]`, text)
		b.look(tab)
	}

	// Another person's room is not there, a form of another origin is refused, and a login works once.
	b.do(chromedp.Navigate(home + "/rooms/" + url.PathEscape(string(foreign))))
	b.shows("Nothing to see here")
	b.look("hidden")
	b.do(chromedp.Navigate("data:text/html,<form method=post action='" + home + "/logout'><button>Win</button></form>"))
	b.press("button", "Please log in") // without the cookie, which is for Usher's own pages
	b.do(chromedp.Navigate(login))
	b.shows("This login has ended")
	b.look("ended login")
	b.do(chromedp.Navigate(home + "/rooms"))
	b.shows("<b>Hall</b>")
	b.press("header form button", "You are logged out")
	b.do(chromedp.Navigate(room))
	b.shows("Please log in")

	b.do(chromedp.Navigate(s.offered(s.owner, direct)))
	b.press("main button", "<b>Hall</b>")
	s.owner.AwaitReply(s.owner.Say(hall, "!dashboard logout"), s.Usher.Bot)
	b.do(chromedp.Navigate(home + "/rooms"))
	b.shows("Please log in")
	if len(b.complaints) > 0 {
		t.Errorf("the console says %q", b.complaints)
	}
}

// lacks checks that the page does not have a text.
func (b *browser) lacks(text string) {
	b.t.Helper()
	var body string
	if b.do(chromedp.Evaluate("document.body.innerText", &body)); strings.Contains(body, text) {
		b.t.Errorf("%q on the page:\n%s", text, body)
	}
}

// fetch asks for a page without a browser.
func fetch(t *testing.T, address string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
