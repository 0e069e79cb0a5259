package letters_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/letters"
	"usher/invites/links"
)

const (
	alice = invitestest.Alice
	carol = invitestest.Carol
	lobby = invitestest.Lobby
)

// desk is the letters of a model room, with a mail server that gives set answers.
type desk struct {
	*invitestest.World
	*letters.Letters
	postman *letters.Postman
	t       *testing.T
	sent    []letters.Message
	answer  error
	told    []invites.Letter
	counted map[string]int
}

// Send implements letters.Mailer.
func (d *desk) Send(_ context.Context, m letters.Message) error {
	d.sent = append(d.sent, m)
	return d.answer
}

// Letter implements letters.Counters.
func (d *desk) Letter(outcome string) { d.counted[outcome]++ }

// answer is one of a mail server.
type answer struct {
	final, mine, unsure bool
	words               string
}

func (a answer) Error() string  { return a.words }
func (a answer) Final() bool    { return a.final }
func (a answer) OfLetter() bool { return a.mine }
func (a answer) Unsure() bool   { return a.unsure }
func (a answer) Words() string  { return a.words }

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{World: invitestest.NewWorld(t), t: t, counted: map[string]int{}}
	d.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100, string(invitestest.Bot): 50}})
	d.Letters = &letters.Letters{
		On: true, Store: d.DB, Links: links.Personal{Links: d.World.Links}, Judge: d.World.Judge, Clock: d.World.Clock, Key: "key", Queued: make(chan struct{}, 1), Valid: func(string) bool { return true },
		Limits: letters.Limits{Person: 3, Domain: 4, All: 5, Again: 24 * time.Hour},
	}
	d.postman = &letters.Postman{
		Letters: d.Letters, Outbox: d.DB, Mailer: d, Counters: d, Address: "https://usher.example", Retry: time.Minute, GiveUp: 48 * time.Hour,
		Tell: func(_ context.Context, l invites.Letter) error { d.told = append(d.told, l); return nil },
	}
	return d
}

// wish is a command of its own.
func (d *desk) wish(maker id.UserID, addresses ...string) letters.Wish {
	d.Next++
	return letters.Wish{Request: id.EventID(fmt.Sprint("$wish", d.Next)), CommandRoom: lobby, Maker: maker, Room: lobby, Addresses: addresses, Language: "en"}
}

// codes words results.
func (d *desk) codes(results []letters.Result, err error) string {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	var all []string
	for _, one := range results {
		code := one.Refusal.Code
		if code == "" {
			code = string(one.Letter.State)
		}
		all = append(all, code)
	}
	return strings.Join(all, " ")
}

func (d *desk) ask(maker id.UserID, addresses ...string) string {
	d.t.Helper()
	return d.codes(d.Letters.Ask(d.t.Context(), d.wish(maker, addresses...)))
}

func (d *desk) round() {
	d.t.Helper()
	if _, err := d.postman.Round(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// state is the state of the last letter to an address.
func (d *desk) state(address string) string {
	d.t.Helper()
	l, known, _, err := d.Why(d.t.Context(), alice, lobby, address)
	if err != nil {
		d.t.Fatal(err)
	}
	if !known {
		return "none"
	}
	return strings.TrimSpace(string(l.State) + " " + l.Code)
}

func TestAsk(t *testing.T) {
	d := newDesk(t)
	w := d.wish(alice, "ann@example.org", "Bea@example.org")
	for range 2 { // the second time after a crash
		if got := d.codes(d.Letters.Ask(t.Context(), w)); got != "queued queued" {
			t.Fatal(got)
		}
	}
	d.round()
	if len(d.sent) != 2 || d.sent[0].To != "ann@example.org" || d.sent[1].To != "Bea@example.org" || d.counted["sent"] != 2 {
		t.Fatalf("sent %+v, counted %v", d.sent, d.counted)
	}
	if d.round(); len(d.sent) != 2 {
		t.Error("sent twice")
	}
	for _, tt := range []struct {
		by      id.UserID
		address string
		want    string
	}{
		{alice, "ANN+x@example.org", invites.CodeLetterOpen}, {alice, "bea@example.org", invites.CodeLetterOpen}, {alice, "cy@example.net", "queued"},
		{alice, "dora@example.net", invites.CodeLetterPerson}, {carol, "dora@example.org", "queued"}, {carol, "eve@example.org", "queued"},
		{carol, "fay@example.com", invites.CodeLetterAll}, {"@stranger:here", "gus@example.com", "invite.actor_not_joined"},
	} {
		if got := d.ask(tt.by, tt.address); got != tt.want && !(strings.HasPrefix(tt.want, "invite.") && strings.HasPrefix(got, "invite.")) {
			t.Errorf("%s to %s: %s, want %s", tt.by, tt.address, got, tt.want)
		}
	}
	d.Limits.All, d.Limits.Domain = 100, 4
	if got := d.ask(carol, "hal@example.org"); got != invites.CodeLetterDomain {
		t.Errorf("a fifth letter to a domain: %s", got)
	}
	d.On = false
	if got := d.ask(carol, "ivy@example.io"); got != invites.CodeLetterOff {
		t.Errorf("without mail: %s", got)
	}
}

// TestPolicy: a letter is judged as an invitation by a link, and counts against quotas until the link is used.
func TestPolicy(t *testing.T) {
	d := newDesk(t)
	d.Govern(map[string]any{"quota": map[string]any{"person": map[string]any{"count": 2, "per": "1d"}}})
	if got := d.ask(alice, "ann@example.org", "bea@example.org"); got != "queued queued" {
		t.Fatal(got)
	}
	if got := d.ask(alice, "cy@example.org"); got != "policy.quota.person" {
		t.Errorf("a third letter: %s", got)
	}
	d.round()
	l, err := d.World.Links.ByPage(t.Context(), links.Secret(strings.TrimPrefix(d.sent[0].Link, "https://usher.example/i/")))
	if err != nil {
		t.Fatal(err)
	}
	if _, rows, err := d.UseLink(t.Context(), l, "@ann:there"); err != nil || invitestest.Outcomes(rows) != "done done" && invitestest.Outcomes(rows) != "done" {
		t.Errorf("the use of a link whose letter spent the quota: %v, %v", invitestest.Outcomes(rows), err)
	}
	if got := d.state("ann@example.org"); got != "redeemed" {
		t.Errorf("the letter is %s", got)
	}
	d.Govern(map[string]any{"links": map[string]any{"allow": false}})
	if got := d.ask(alice, "dora@example.org"); got != "policy.links.allow" {
		t.Errorf("in a room without links: %s", got)
	}
	sent := len(d.sent)
	d.Govern(map[string]any{})
	d.ask(alice, "eve@example.org")
	d.Govern(map[string]any{"links": map[string]any{"allow": false}})
	if d.round(); len(d.sent) != sent || !strings.HasPrefix(d.state("eve@example.org"), "refused policy.links.allow") || len(d.told) != 1 {
		t.Errorf("forbidden before it left: %s, sent %d, told %d", d.state("eve@example.org"), len(d.sent)-sent, len(d.told))
	}
}

// TestSend: what becomes of a letter after each answer, and which secrets go on working.
func TestSend(t *testing.T) {
	page := func(d *desk, n int) error {
		_, err := d.World.Links.ByPage(t.Context(), links.Secret(strings.TrimPrefix(d.sent[n].Link, "https://usher.example/i/")))
		return err
	}
	for _, tt := range []struct {
		name         string
		answer       error
		want, second string
		works        bool // the secret of the first try
	}{
		{"taken", nil, "sent", "sent", true},
		{"refused", answer{final: true, mine: true, words: "550 5.1.1 <ann@example.org>: unknown"}, "refused letter.server", "refused letter.server", false},
		{"later", answer{mine: true, words: "451 come back"}, "queued letter.later", "sent", false},
		{"trouble", answer{words: "421 closing"}, "queued letter.trouble", "sent", false},
		{"no answer", answer{unsure: true}, "queued letter.trouble", "sent", true},
		{"a bug", errors.New("bug"), "queued letter.trouble", "sent", true},
	} {
		d := newDesk(t)
		d.ask(alice, "ann@example.org")
		d.answer = tt.answer
		d.round()
		if got := d.state("ann@example.org"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if err := page(d, 0); (err == nil) != tt.works {
			t.Errorf("%s: the first secret: %v", tt.name, err)
		}
		d.answer = nil
		if d.round(); tt.second != tt.want && len(d.sent) != 1 {
			t.Errorf("%s: no pause", tt.name)
		}
		d.World.Clock.Advance(2 * time.Minute)
		d.round()
		if got := d.state("ann@example.org"); got != tt.second {
			t.Errorf("%s, then taken: %s, want %s", tt.name, got, tt.second)
		}
		if len(d.sent) == 2 && (d.sent[0].ID != d.sent[1].ID || d.sent[0].Link == d.sent[1].Link || page(d, 1) != nil) {
			t.Errorf("%s: two tries: %+v", tt.name, d.sent)
		}
		if strings.HasPrefix(tt.want, "refused") && (len(d.told) != 1 || strings.Contains(d.told[0].Detail.String(), "ann@") || d.told[0].Address == "") {
			t.Errorf("%s: told %+v", tt.name, d.told)
		}
	}
}

// TestGivenUp: a letter is tried with growing pauses, and given up in the end. Trouble with the server holds up all letters.
func TestGivenUp(t *testing.T) {
	d := newDesk(t)
	d.ask(alice, "ann@example.org", "bea@example.org")
	d.answer = answer{words: "421 closing"}
	if d.round(); len(d.sent) != 1 {
		t.Errorf("%d letters at a server with trouble", len(d.sent))
	}
	d.answer = answer{mine: true, words: "451 later"}
	for range 55 {
		d.World.Clock.Advance(time.Hour)
		d.round()
	}
	if got := d.state("ann@example.org") + ", " + d.state("bea@example.org"); got != "refused letter.given_up, refused letter.given_up" {
		t.Error(got)
	}
	if n := len(d.sent); n < 40 || n > 110 {
		t.Errorf("%d tries in two days", n)
	}
}

// TestKilled: a process that is killed during a try sends the letter once more, with the same name, after the lease.
func TestKilled(t *testing.T) {
	d := newDesk(t)
	d.ask(alice, "ann@example.org")
	dead, cancel := context.WithCancel(t.Context())
	d.answer = errors.New("killed")
	d.postman.Mailer = killer{d, cancel}
	if _, err := d.postman.Round(dead); err == nil {
		t.Fatal("no kill")
	}
	d.postman.Mailer, d.answer = d, nil
	if d.round(); len(d.sent) != 1 {
		t.Error("sent during the lease")
	}
	d.World.Clock.Advance(4 * time.Minute)
	if d.round(); len(d.sent) != 2 || d.sent[0].ID != d.sent[1].ID || d.state("ann@example.org") != "sent" {
		t.Errorf("after the lease: %d, %s", len(d.sent), d.state("ann@example.org"))
	}
}

// killer ends the process during a try.
type killer struct {
	*desk
	kill func()
}

// Send implements letters.Mailer.
func (k killer) Send(ctx context.Context, m letters.Message) error {
	k.kill()
	return k.desk.Send(ctx, m)
}

func TestAgainAndRevoke(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	again := func(by id.UserID) string { return d.codes(d.Again(ctx, d.wish(by, "ann@example.org"))) }
	if got := again(alice); got != invites.CodeLetterNone {
		t.Error(got)
	}
	d.ask(alice, "ann@example.org")
	d.round()
	if got := again(alice) + ", " + again(carol); got != "letter.again, letter.none" {
		t.Error(got)
	}
	d.World.Clock.Advance(25 * time.Hour)
	if got := again(alice); got != "queued" {
		t.Error(got)
	}
	if d.round(); len(d.sent) != 2 || d.sent[0].ID == d.sent[1].ID || d.sent[1].Until < 6*24*time.Hour+23*time.Hour {
		t.Errorf("sent again: %+v", d.sent)
	}
	revoke := func(by id.UserID) string {
		return d.codes(d.Revoke(ctx, d.wish(by, "ann@example.org"), d.World.Clock.Now()))
	}
	if got := revoke(carol) + ", " + revoke(alice) + ", " + revoke(alice); got != "letter.none, revoked, revoked" {
		t.Error(got)
	}
	d.World.Clock.Advance(time.Minute)
	if got := revoke(alice); got != invites.CodeLetterNone {
		t.Errorf("revoked by an earlier command: %s", got)
	}
	l, err := d.World.Links.ByPage(ctx, links.Secret(strings.TrimPrefix(d.sent[1].Link, "https://usher.example/i/")))
	if err != nil || l.EndedAt.IsZero() {
		t.Errorf("the link of a revoked letter: %+v, %v", l, err)
	}
}

// TestOpen: people see their own letters, and moderators all of them.
func TestOpen(t *testing.T) {
	d := newDesk(t)
	d.ask(alice, "ann@example.org")
	d.ask(carol, "bea@example.org")
	for user, want := range map[id.UserID]int{alice: 2, carol: 1, "@stranger:here": 0} {
		list, err := d.Letters.Open(t.Context(), user, lobby)
		if err != nil || len(list) != want {
			t.Errorf("%s sees %d letters, %v", user, len(list), err)
		}
	}
	if _, known, _, err := d.Why(t.Context(), carol, lobby, "ann@example.org"); known || err != nil {
		t.Errorf("carol knows of alice's letter: %v", err)
	}
}

// TestBlock: whoever has the token ends all letters to the address, and nobody guesses it.
func TestBlock(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	d.ask(alice, "ann@example.org", "bea@example.org")
	d.round()
	token := strings.TrimPrefix(d.sent[0].Stop, "https://usher.example/u/")
	for _, wrong := range []string{"", "x", token + "x", token[:len(token)-1] + "!", token[:len(token)/2] + strings.TrimPrefix(d.sent[1].Stop, "https://usher.example/u/")[len(token)/2:]} {
		if err := d.Block(ctx, wrong, false); !errors.Is(err, invites.ErrNotFound) {
			t.Errorf("the token %q: %v", wrong, err)
		}
	}
	if err := d.Block(ctx, token, false); err != nil {
		t.Fatal(err)
	}
	d.World.Clock.Advance(25 * time.Hour)
	if got := d.ask(carol, "Ann+more@example.org") + " " + d.codes(d.Again(ctx, d.wish(alice, "ann@example.org"))) + " " + d.codes(d.Again(ctx, d.wish(alice, "bea@example.org"))); got != "letter.blocked letter.blocked queued" {
		t.Error(got)
	}
	d.ask(carol, "cy@example.org")
	d.sent = nil
	d.round()
	if err := d.Block(ctx, token, true); err != nil {
		t.Fatal(err)
	}
	if blocked, err := d.Blocked(ctx, token); blocked || err != nil {
		t.Errorf("taken back: %v, %v", blocked, err)
	}
	// A letter that waits does not go out any more.
	d.ask(carol, "dora@example.org")
	if err := d.Block(ctx, strings.TrimPrefix(d.sent[1].Stop, "https://usher.example/u/"), false); err != nil {
		t.Fatal(err)
	}
	if got := d.ask(carol, "cy@example.org"); got != invites.CodeLetterBlocked {
		t.Errorf("cy: %s", got)
	}
}

// TestNames: a letter shows no name that a mail program would take for a link.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"Lobby": "Lobby", "  The\n Lobby ": "The Lobby", "evil.com": "", "go to https://evil": "", "a@b": "", "Dr. Who": "Dr. Who", "www.x": "", strings.Repeat("é", 90): strings.Repeat("é", 80) + "…",
	} {
		d := newDesk(t)
		d.HS.Set(lobby, "m.room.name", "", alice, map[string]any{"name": name})
		d.ask(alice, "ann@example.org")
		if d.round(); len(d.sent) != 1 || d.sent[0].Room != want {
			t.Errorf("%q: %+v", name, d.sent)
		}
	}
	for address, want := range map[string]string{"ann@example.org": "an…@example.org", "a@example.org": "…@example.org", "": "…"} {
		if got := letters.Masked(address); got != want {
			t.Errorf("%s is shown as %s", address, got)
		}
	}
}
