package commands

import (
	"context"
	"strings"
	"testing"
	"time"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/letters"
	"usher/invites/links"
	"usher/store"
)

// mailbag is the letters of a runner, off until a test has set up mail.
func mailbag(d *invitestest.Domain, db *store.Store, clock invites.Clock) *letters.Letters {
	return &letters.Letters{
		Store: db, Links: links.Personal{Links: d.Links}, Judge: d.Judge, Clock: clock, Key: "key", Queued: make(chan struct{}, 1),
		Valid:  func(address string) bool { return !strings.HasPrefix(address, ".") },
		Limits: letters.Limits{Person: 4, Domain: 100, All: 100, Again: 24 * time.Hour},
	}
}

// mailServer gives each letter the same answer.
type mailServer struct{ answer error }

// Send implements letters.Mailer.
func (s mailServer) Send(context.Context, letters.Message) error { return s.answer }

// Letter implements letters.Counters.
func (mailServer) Letter(string) {}

// refusing is the answer of a mail server that does not know the address.
type refusing struct{}

func (refusing) Error() string  { return "550" }
func (refusing) Final() bool    { return true }
func (refusing) OfLetter() bool { return true }
func (refusing) Unsure() bool   { return false }
func (refusing) Words() string  { return "550 5.1.1 <nobody@example.org>: unknown" }

// post sends the letters of a runner to a mail server, and returns the refused ones.
func post(t *testing.T, d *Runner, answer error) (refused []invites.Letter) {
	t.Helper()
	server := mailServer{answer}
	p := letters.Postman{
		Letters: d.Letters, Outbox: inbox(d), Mailer: server, Counters: server, Address: "https://usher.example", Retry: time.Minute, GiveUp: time.Hour,
		Tell: func(_ context.Context, l invites.Letter) error {
			refused = append(refused, l)
			return nil
		},
	}
	if _, err := p.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	return refused
}

func text(r Reply) string { return r.Text.String() }

func TestInviteByMail(t *testing.T) {
	d, _ := newRunner(t)
	answered := func(text string) Reply {
		t.Helper()
		_, reply := say(t, d, lobby, alice, text)
		return reply
	}
	if got := text(answered("!invite bob@example.org")); !strings.Contains(got, "Did you mean @bob:example.org") || !strings.Contains(got, "e-mail are off") {
		t.Errorf("without mail: %s", got)
	}
	d.Letters.On = true
	if got := text(answered("!invite @bob:here, ann@example.org")); !strings.Contains(got, "ann@example.org") || !strings.Contains(got, "on its way") {
		t.Errorf("both kinds: %s", got)
	}
	for _, tt := range []struct{ said, want string }{
		{"!invite Ann@Example.org", "letter.open"}, {"!why ann+x@example.org", "waits to be sent"}, {"!why bea@example.org", "you may send"},
		{"!invite cy@example.org --dry-run", "you may send"}, {"!pending", "an…@example.org"}, {"!invite --resend @bob:here cy@example.org", "e-mail addresses only"},
		{"!invite --resend @bob:here", "e-mail addresses only"}, {"!invite .a@example.org", "letter.invalid"}, {"!invite --resend cy@example.org", "letter.none"},
		{"!uninvite ann@example.org", "taken back"}, {"!uninvite ann@example.org now", "taken back"}, {"!uninvite cy@example.org", "withdraw.address.unknown"}, {"!invite ann@example.org please", "letter.again"},
		{"!kick ann@example.org", ""},
	} {
		if got := text(answered(tt.said)); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.said, got)
		}
	}
	if reply := answered("!invite - dora@example.org\n- eve@example.org\n- @bob:here"); !strings.Contains(reply.Text.String(), "eve@example.org") {
		t.Errorf("a list: %s", reply.Text.String())
	}
	refused := post(t, d, refusing{})
	if len(refused) != 2 {
		t.Fatalf("refused: %+v", refused)
	}
	reply := LetterRefused(refused[0])
	if got := reply.Text.String(); !reply.Aloud || !strings.Contains(got, "550 5.1.1 <…>: unknown") || !strings.Contains(got, "dora@example.org") {
		t.Errorf("told: %s", got)
	}
	if got := text(answered("!pending")); strings.Contains(got, "dora") || !strings.Contains(got, "not sent") {
		t.Errorf("refused letters: %s", got)
	}
}
