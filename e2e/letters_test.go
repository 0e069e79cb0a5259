package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/e2e/child"
	"usher/e2e/harness"
)

// postOffice is Debian's opensmtpd, which delivers into folders.
type postOffice struct {
	t       *testing.T
	port    int
	dir     string
	process *child.Process
}

// newPostOffice prepares a mail server. There is one at a time on a machine: its control socket has a fixed place.
func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("opensmtpd starts as root only")
	}
	alone, err := os.OpenFile(filepath.Join(os.TempDir(), "usher-smtpd.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alone.Close() })
	if err := syscall.Flock(int(alone.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "usher-post") // t.TempDir is closed to the user who delivers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	box := filepath.Join(dir, "box")
	if err := os.Mkdir(box, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, box} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "nobody", box).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{t: t, port: port, dir: dir}
	t.Cleanup(p.stop)
	return p
}

// start starts the server. It knows ann, bea and cy at example.org; letters to those in busy are wanted later.
func (p *postOffice) start(busy ...string) {
	p.t.Helper()
	filter := ""
	text := `table users { "ann@example.org" = "nobody", "bea@example.org" = "nobody", "cy@example.org" = "nobody" }` + "\n"
	if len(busy) > 0 {
		text += fmt.Sprintf("filter grey phase rcpt-to match rcpt-to { %q } reject \"451 4.7.1 Greylisted, come back\"\n", strings.Join(busy, `", "`))
		filter = " filter grey"
	}
	text += fmt.Sprintf("listen on 127.0.0.1 port %d%s\n", p.port, filter)
	text += fmt.Sprintf("action box maildir %q virtual <users> user nobody\nmatch from any for domain \"example.org\" action box\n", p.dir+"/box/%{dest.user}")
	file := filepath.Join(p.dir, "smtpd.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	var err error
	if p.process, err = child.Start(exec.Command("smtpd", "-d", "-f", file), filepath.Join(p.dir, "log")); err != nil {
		p.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		line, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err == nil {
			_ = line.Close()
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("no mail server: %v\n%s", err, p.process.Tail(20))
		}
	}
}

func (p *postOffice) stop() {
	if p.process != nil {
		_ = p.process.Stop(5 * time.Second)
		p.process = nil
	}
}

// has returns the letters in a box.
func (p *postOffice) has(box string) (files []string) {
	files, _ = filepath.Glob(filepath.Join(p.dir, "box", box, "new", "*"))
	return files
}

// letter waits for n letters in a box, and returns the newest one with its parts.
func (p *postOffice) letter(box string, n int) (m *mail.Message, text, page string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); len(p.has(box)) < n; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%d letters for %s, want %d\n%s", len(p.has(box)), box, n, p.process.Tail(20))
		}
	}
	var newest []byte
	var at time.Time
	for _, file := range p.has(box) {
		if info, err := os.Stat(file); err == nil && !info.ModTime().Before(at) {
			at = info.ModTime()
			newest, _ = os.ReadFile(file)
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(newest))
	if err != nil {
		p.t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		p.t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	read := func(kind string) string {
		part, err := parts.NextRawPart()
		if err != nil || !strings.HasPrefix(part.Header.Get("Content-Type"), kind) {
			p.t.Fatalf("no part of %s: %v", kind, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			p.t.Fatal(err)
		}
		return string(body)
	}
	return m, read("text/plain"), read("text/html")
}

var stopAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/u/[\w-]+`)

// TestLetters: people are invited by e-mail, through a real mail server.
func TestLetters(t *testing.T) {
	office := newPostOffice(t)
	office.start("cy@example.org")
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{
		"web.listen": listen, "web.public_url": "http://" + listen,
		"mail.server": "127.0.0.1", "mail.port": office.port, "mail.tls": "none", "mail.from": "Usher <usher@example.net>", "mail.reply_to": "help@example.net", "mail.key": "kkkkkkkkkkkkkkkkkkkkkkkk",
		"mail.retry": "1s", "mail.limits.again": "1s",
	}})
	s.owner.Do(http.MethodPut, "/v3/profile/"+string(s.owner.ID)+"/displayname", m{"displayname": "Olga\r\nX-Evil: yes\r\n\r\n<b>x"})
	s.owner.SetState(s.room, "m.room.name", "", m{"name": "Stage\r\nX-Evil: yes"})
	s.settled(s.owner, s.room)
	said := func(command string, want ...string) string {
		t.Helper()
		body := s.owner.AwaitReply(s.owner.Say(s.room, command), s.Usher.Bot).Field("body")
		for _, one := range want {
			if !strings.Contains(body, one) {
				t.Errorf("%s: no %q in %s", command, one, body)
			}
		}
		return body
	}

	// Delivered: both parts, no header of anybody else's, and a link that works once.
	said("!invite ann@example.org "+string(s.guest.ID), "ann@example.org", "on its way")
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	got, text, page := office.letter("ann", 1)
	for name, want := range map[string]string{"Reply-To": "<help@example.net>", "To": "<ann@example.org>", "X-Evil": "", "Auto-Submitted": "auto-generated", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s: %q", name, value)
		}
	}
	if !strings.Contains(text, "Olga X-Evil: yes <b>x (") || !strings.Contains(text, "“Stage X-Evil: yes”") || strings.Contains(page, "<b>") || !strings.Contains(text, string(s.owner.ID)) {
		t.Errorf("the letter:\n%s\n%s", text, page)
	}
	first, stop := linkAddress.FindString(text), stopAddress.FindString(got.Header.Get("List-Unsubscribe"))
	if first == "" || stop == "" || !strings.Contains(page, first) || !strings.Contains(page, stop) {
		t.Fatalf("links %q and %q in\n%s\n%s", first, stop, text, page)
	}
	said("!pending", "an…@example.org", "sent")
	said("!why ann@example.org", "sent", "letter.open")

	// Once more: another secret of the same link.
	time.Sleep(time.Second) // mail.limits.again
	said("!invite --resend ann@example.org", "on its way")
	again, text, _ := office.letter("ann", 2)
	second := linkAddress.FindString(text)
	if second == "" || second == first || again.Header.Get("Message-Id") == got.Header.Get("Message-Id") {
		t.Errorf("once more: %s", text)
	}
	newcomer := s.Account("newcomer")
	if status, _ := post(t, first, newcomer.ID); status != http.StatusOK {
		t.Errorf("the link of the first letter: %d", status)
	}
	newcomer.AwaitInvite(s.room)
	s.is(t, s.room, newcomer.ID, "invite", s.owner.ID)
	if status, body := post(t, second, "@other:usher.test"); status != http.StatusGone {
		t.Errorf("the link works twice: %d %s", status, body)
	}
	said("!why ann@example.org", "the link was used")

	// Refused: the maker is told. No address reaches the log.
	said("!invite eve@example.org", "on its way")
	told := s.owner.Await("the refusal", func(e harness.Event) bool { return strings.Contains(e.Field("body"), "letter.server") })
	if body := told.Field("body"); !strings.Contains(body, "eve@example.org") || !strings.Contains(body, "524") && !strings.Contains(body, "550") {
		t.Errorf("refused: %s", body)
	}

	// Greylisted; then the server is down while Usher is killed; then both are back.
	said("!invite cy@example.org", "on its way")
	waits(t, func() bool { return strings.Contains(said("!why cy@example.org"), "Greylisted") })
	office.stop()
	waits(t, func() bool { return strings.Contains(said("!why cy@example.org"), "letter.trouble") })
	s.restart(t)
	office.start()
	_, text, _ = office.letter("cy", 1)
	if linkAddress.FindString(text) == "" {
		t.Errorf("after all: %s", text)
	}
	waits(t, func() bool { return strings.Contains(said("!why cy@example.org"), "sent") })
	said("!uninvite cy@example.org", "taken back")
	if status, _ := post(t, linkAddress.FindString(text), "@other:usher.test"); status != http.StatusGone {
		t.Errorf("the link of a letter that was taken back: %d", status)
	}

	// One click: a look changes nothing, and the button of a mail program does.
	if answer := visit(t, http.MethodGet, stop, ""); answer != http.StatusOK {
		t.Errorf("the page: %d", answer)
	}
	if answer := visit(t, http.MethodPost, stop[:len(stop)-1]+"x", "List-Unsubscribe=One-Click"); answer != http.StatusNotFound {
		t.Errorf("a guessed page: %d", answer)
	}
	said("!why ann@example.org", "you may send")
	if answer := visit(t, http.MethodPost, stop, "List-Unsubscribe=One-Click"); answer != http.StatusOK {
		t.Errorf("one click: %d", answer)
	}
	said("!invite Ann+club@example.org", "letter.blocked")
	if n := len(office.has("cy")); n != 1 {
		t.Errorf("cy has got %d letters", n)
	}
	if log := s.Usher.Tail(100000); strings.Contains(log, "ann@example") || strings.Contains(log, "eve@example") || strings.Contains(log, "cy@example") {
		t.Error("the log has an address")
	}
}

// waits waits until something holds.
func waits(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// visit makes a request without a browser, and returns the status of the answer.
func visit(t *testing.T, method, address, form string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
