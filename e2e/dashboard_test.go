package e2e

import (
	"fmt"
	"io"
	"net/http"
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
	s.owner.AwaitReply(s.owner.Say(s.room, "!dashboard"), s.Usher.Bot) // nobody learns an address in a room
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))

	b := openBrowser(t)
	login := s.offered(s.owner, direct)
	if status, body := fetch(t, login); status != http.StatusOK || !strings.Contains(body, "You log in as "+string(s.owner.ID)) { // a preview
		t.Errorf("the preview of a login: %d %s", status, body)
	}
	b.do(chromedp.Navigate(login))
	b.shows("You log in as " + string(s.owner.ID))
	b.look("login")
	b.press("main button", "Stage")
	b.look("rooms")
	b.press("main .rooms a", "Overview")
	b.look("room")
	b.press(`.tabs a[href*="/ledger"]`, string(s.guest.ID))
	b.look("ledger")

	b.do(chromedp.Navigate(login))
	b.shows("This login has ended")
	b.look("ended login")
	if len(b.complaints) > 0 {
		t.Errorf("the console says %q", b.complaints)
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
