package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
	"usher/e2e/harness"
)

// browser is one window of a headless Chromium. It notes what its console complains of.
type browser struct {
	t          *testing.T
	ctx        context.Context
	mu         sync.Mutex
	complaints []string
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the parts of Chromium may still write there for a moment
		for range 50 {
			if err = os.RemoveAll(profile); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error(err)
	})
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("lang", "en"),
	)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &browser{t: t}
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(b.ctx) }) // waits for the end of the browser
	chromedp.ListenTarget(b.ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") { // the page of an ended link
				b.complaints = append(b.complaints, e.Entry.Text)
			}
		}
	})
	b.do(log.Enable())
	return b
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
}

// shows waits until the page has a text.
func (b *browser) shows(text string) {
	b.t.Helper()
	var body string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		err := chromedp.Run(b.ctx, chromedp.Evaluate("document.readyState == 'complete' ? document.body.innerText : ''", &body)) // fails while a page comes
		if err == nil && strings.Contains(body, text) {
			return
		}
	}
	b.t.Fatalf("no %q on the page, but\n%s", text, body)
}

// ask fills in the form of a link, and sends it by the keyboard.
func (b *browser) ask(user string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(`document.getElementById("user").value = ""`, nil), chromedp.SendKeys("#user", user+"\r", chromedp.ByQuery))
}

// faults are what would keep people from using a page: no label, no name, no language, too little contrast, more than the window holds.
const faults = `(() => {
  const found = [];
  if (!document.documentElement.lang) found.push("no language");
  if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
  if (!document.title) found.push("no title");
  for (const field of document.querySelectorAll("input:not([type=hidden])")) if (!field.labels.length) found.push("no label: " + field.id);
  for (const image of document.images) if (!image.hasAttribute("alt")) found.push("no alt: " + image.src);
  for (const button of document.querySelectorAll("button, a, summary")) if (!button.textContent.trim()) found.push("no name: " + button.outerHTML);
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");
  for (const e of document.querySelectorAll("[aria-describedby]")) for (const id of e.getAttribute("aria-describedby").split(" ")) if (!document.getElementById(id)) found.push("no " + id);
  const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c; } return "rgb(255, 255, 255)"; };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = words.nextNode(); n; n = words.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.getClientRects().length || ["SCRIPT", "NOSCRIPT"].includes(e.tagName)) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push("contrast of " + n.textContent.trim().slice(0, 40));
  }
  if (document.documentElement.scrollWidth > window.innerWidth) found.push("wider than the window");
  if (document.cookie) found.push("a cookie");
  for (const r of performance.getEntriesByType("resource")) if (!r.name.startsWith(location.origin)) found.push("loads " + r.name);
  return found;
})()`

// emulate has pages shown as people with a preference for light or dark see them.
func emulate(scheme string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

// look checks the page at the widths of a telephone and of a screen, light and dark, and keeps pictures where $USHER_E2E_PICTURES says.
func (b *browser) look(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1280} {
			var found []string
			b.do(emulate(scheme), chromedp.EmulateViewport(width, 844), chromedp.Evaluate(faults, &found))
			if len(found) > 0 {
				b.t.Errorf("%s, %s, at %d: %v", name, scheme, width, found)
			}
			if dir := os.Getenv("USHER_E2E_PICTURES"); dir != "" {
				var picture []byte
				b.do(chromedp.FullScreenshot(&picture, 100))
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), picture, 0o600); err != nil {
					b.t.Error(err)
				}
			}
		}
	}
}

var linkAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/i/[\w-]+`)

// madeLink makes a link by a command, and returns the address of its page and its number.
func (s *stage) madeLink(by *harness.Account, room id.RoomID, flags string) (address, number string) {
	by.Test().Helper()
	body := by.AwaitReply(by.Say(room, "!link create --here "+flags), s.Usher.Bot).Field("body")
	address = linkAddress.FindString(body)
	if _, rest, found := strings.Cut(body, "#"); found {
		number, _, _ = strings.Cut(rest, " ")
	}
	if address == "" || number == "" {
		by.Test().Fatalf("no address: %s", body)
	}
	return address, number
}

// TestLinks: people come in by links, in a real browser and without one.
func TestLinks(t *testing.T) {
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"web.listen": listen, "web.public_url": "http://" + listen}})
	b := openBrowser(t)
	page, number := s.madeLink(s.owner, s.room, `--uses 3 --show all --welcome "Nice to have you here"`)

	brief, _ := s.madeLink(s.owner, s.room, "--for 1s") // its time is over when the browser looks at it

	b.do(chromedp.Navigate(page))
	b.shows("You are invited to Stage")
	b.look("link")
	b.ask("nobody")
	b.shows("The part after the colon is missing")
	b.look("wrong")
	b.ask(string(s.guest.ID))
	b.shows("has an invitation")
	b.look("invited")
	s.guest.AwaitInvite(s.room)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	s.guest.Join(s.room)
	b.shows("Welcome, ") // by itself
	b.look("joined")
	if reply := s.owner.AwaitReply(s.owner.Say(s.room, "!whoinvited "+string(s.guest.ID)), s.Usher.Bot); !strings.Contains(reply.Field("body"), string(s.owner.ID)) {
		t.Errorf("who invited the guest: %s", reply.Field("body"))
	}

	// In a direct chat, by the code on the page.
	b.do(chromedp.Navigate(page))
	var code string
	b.do(chromedp.Evaluate(`[...document.querySelectorAll("code")].map(e => e.textContent).find(t => t.startsWith("redeem "))`, &code))
	chatter := s.Account("chatter")
	direct := s.BotRoom(chatter, harness.RoomOptions{Preset: "trusted_private_chat", Direct: true})
	chatter.AwaitReply(chatter.Say(direct, code), s.Usher.Bot)
	s.is(t, s.room, chatter.ID, "invite", s.owner.ID)

	banned := s.Account("banned")
	s.owner.Ban(s.room, banned.ID)
	b.ask(string(banned.ID))
	b.shows("You can't come in by this link")
	b.look("banned")

	s.owner.AwaitReply(s.owner.Say(s.room, "!link revoke "+number), s.Usher.Bot)
	b.do(chromedp.Navigate(page))
	b.shows("It was taken back.")
	b.look("ended")

	one, _ := s.madeLink(s.owner, s.room, "--uses 1")
	last := s.Account("last")
	if status, _ := post(t, one, last.ID); status != http.StatusOK {
		t.Errorf("the last use: %d", status)
	}
	last.AwaitInvite(s.room)
	if status, body := post(t, one, "@other:usher.test"); status != http.StatusGone || !strings.Contains(body, "as often as it may be") {
		t.Errorf("used up: %d %s", status, body)
	}

	strict := s.BotRoom(s.owner, harness.RoomOptions{Name: "Strict", Power: m{"invite": 50}, Invite: []id.UserID{s.guest.ID}})
	s.guest.Join(strict)
	s.owner.Grant(strict, 50, s.guest.ID)
	theirs, _ := s.madeLink(s.guest, strict, "")
	s.owner.Grant(strict, 0, s.guest.ID)
	s.settled(s.owner, strict)
	for address, words := range map[string]string{theirs: "can't invite anybody there any more", brief: "Its time is over."} {
		b.do(chromedp.Navigate(address))
		b.shows(words)
		if status, _ := post(t, address, "@other:usher.test"); status != http.StatusGone {
			t.Errorf("a form of a link that ended: %d", status)
		}
	}
	s.is(t, strict, "@other:usher.test", "leave", "")
	if len(b.complaints) > 0 {
		t.Errorf("the console says %q", b.complaints)
	}
}

// post sends the form of a link without a browser, and returns the answer at the end of its redirects.
func post(t *testing.T, address string, user id.UserID) (status int, body string) {
	t.Helper()
	answer, err := http.PostForm(address, url.Values{"user": {string(user)}, "way": {"invite"}})
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

var knockCode = regexp.MustCompile(`usher\.\d+\.\d+\.[\w-]+`)

// TestLinkWays: in an encrypted room a link's address is told in secret, and a reaction on the card decides about a guest. A knock with the
// code on the page lets its user in, and nobody else.
func TestLinkWays(t *testing.T) {
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: m{"web.listen": listen, "web.public_url": "http://" + listen}})
	page, _ := s.madeLink(s.owner, s.room, "--approve")
	s.allSecret(t, s.room)
	if status, body := post(t, page, s.guest.ID); status != http.StatusOK || !strings.Contains(body, "with the people who decide") {
		t.Errorf("a request: %d %s", status, body)
	}
	card := s.card(s.owner, s.room, s.guest.ID)
	s.is(t, s.room, s.guest.ID, "leave", "")
	s.owner.React(s.room, card, "✅")
	s.guest.AwaitInvite(s.room)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	s.allSecret(t, s.room)
	t.Run("knock", func(t *testing.T) {
		needsKnocking(t)
		porch := s.porch(t, "10", m{})
		page, _ := s.madeLink(s.owner, porch, "")
		one, other := s.Account("one"), s.Account("other")
		answer, err := http.PostForm(page, url.Values{"user": {string(one.ID)}, "way": {"knock"}})
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		code := knockCode.FindString(string(text))
		if code == "" {
			t.Fatalf("no code: %s", text)
		}
		knock(other, porch, code) // read in the room, or over a shoulder
		s.card(s.owner, porch, other.ID)
		knock(one, porch, code)
		one.AwaitInvite(porch)
		s.is(t, porch, one.ID, "invite", s.owner.ID)
		s.is(t, porch, other.ID, "knock", other.ID)
	})
}
