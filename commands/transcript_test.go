package commands

import (
	"context"
	"encoding/json"
	flags "flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
	"usher/room"
)

// update has TestTranscript write its page.
var update = flags.Bool("update", false, "write docs/transcript.md anew")

// transcriptPage is the page held by TestTranscript.
const transcriptPage = "../docs/transcript.md"

// TestTranscript plays testdata/transcript.txt, a conversation with the real commands, on a model homeserver, and compares it with the page,
// which shows readers how Usher talks. After a change of sentences: go test ./commands -run TestTranscript -update, and read the difference.
func TestTranscript(t *testing.T) {
	script, err := os.ReadFile("testdata/transcript.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t)
	for line := range strings.Lines(string(script)) {
		s.play(strings.TrimSpace(line))
	}
	if s.said < 150 {
		t.Errorf("%d commands, want 150 or more", s.said)
	}
	got := s.page.String()
	if *update {
		if err := os.WriteFile(transcriptPage, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(transcriptPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("%s, line %d:\n  has %s\n want %s\nWrite it anew with -update.", transcriptPage, i+1, a[i], b[i])
			}
		}
		t.Errorf("%s has %d lines, want %d. Write it anew with -update.", transcriptPage, len(a), len(b))
	}
}

// scene is a conversation in the making.
type scene struct {
	*Runner
	t    *testing.T
	hs   *invitestest.Homeserver
	now  *invitestest.Clock
	page strings.Builder
	said int
	seen int      // acts of the homeserver that the ledger has seen
	told []func() // messages that follow the reply to the command
}

// lobbyChat is a chat that shows cards.
type lobbyChat struct {
	chat
	s *scene
}

// newScene is the room of the transcript.
func newScene(t *testing.T) *scene {
	d, hs := newRunner(t)
	s := &scene{Runner: d, t: t, hs: hs, now: d.Clock.(*invitestest.Clock)}
	hs.Clock = d.Clock
	const office, old = id.RoomID("!office:here"), id.RoomID("!old:here")
	hs.Create(office, "11", alice, "@usher:here", dora)
	hs.Create(old, "11", alice, "@usher:here", dora, "@theo:there", "@umar:here", "@wolf:here")
	hs.Set(old, invitestest.Said, "@umar:here", "@umar:here", map[string]any{})
	s.Lists.People = 1000
	hs.Member(lobby, dora, "join")
	hs.Member(lobby, "@rob:there", "join")
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "users": map[string]any{string(alice): 100, string(dora): 50, "@usher:here": 50}})
	d.Chat = lobbyChat{s: s}
	names := map[id.UserID]string{alice: "Alice", carol: "Carol", dora: "Dora", "@dan1:here": "Dan", "@dan2:there": "Dan", "@usher:here": "Usher", "@rob:there": "Rob"}
	for _, local := range strings.Fields("bob gina hank iris quin sven tina umar wolf a b") {
		names[id.UserID("@"+local+":here")] = ""
	}
	d.People = &known{users: names}
	d.Level = func(user id.UserID) Level {
		if user == "@eve:there" {
			return Nobody
		}
		return User
	}
	s.page.WriteString("# How Usher talks\n\nA conversation with Usher's commands, written by a test (`commands/transcript_test.go`) from the program itself. Emoji after a command are Usher's\n" +
		"reactions on it; indented text is a notice in reply, 🔔 one that notifies people. Where nothing follows, Usher is silent.\n")
	return s
}

// play plays one line of the script.
func (s *scene) play(line string) {
	switch {
	case line == "" || strings.HasPrefix(line, "# "):
	case strings.HasPrefix(line, "## "):
		fmt.Fprintf(&s.page, "\n%s\n", line)
	case strings.HasPrefix(line, "> "):
		fmt.Fprintf(&s.page, "\n%s\n", line[2:])
	case strings.HasPrefix(line, "= "):
		fmt.Fprintf(&s.page, "\n*%s*\n", strings.ToUpper(line[2:3])+line[3:])
		s.happen(line[2:])
	default:
		who, text, _ := strings.Cut(line, ": ")
		s.say(who, text)
	}
}

// say has somebody say a command.
func (s *scene) say(who, text string) {
	in := lobby
	name, alone := strings.CutSuffix(who, " alone")
	if alone {
		in = "!direct:here"
	}
	sender := id.UserID("@" + name + ":here")
	if name == "rob" || name == "eve" {
		sender = id.UserID("@" + name + ":there")
	}
	s.said++
	s.now.Advance(20 * time.Second)
	content, err := json.Marshal(map[string]any{"content": map[string]any{"msgtype": "m.text", "body": text}})
	if err != nil {
		s.t.Fatal(err)
	}
	at := s.now.Now()
	ev := invites.Received{Event: id.EventID(fmt.Sprint("$", s.said)), Room: in, Sender: sender, Type: "m.room.message", Raw: content, SentAt: at.Add(-24 * time.Millisecond), ReceivedAt: at}
	if _, err := inbox(s.Runner).Receive(s.t.Context(), []invites.Received{ev}); err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&s.page, "\n**%s**: `%s`", strings.ToUpper(who[:1])+who[1:], text)
	m, reply, err := dispatch(s.t, s.Runner, ev)
	if err != nil {
		s.t.Fatal(text, err)
	}
	if reply.React != "" {
		s.page.WriteString(" " + reply.React)
	}
	s.page.WriteString("\n")
	s.show(reply, m)
	for _, tell := range s.told {
		tell()
	}
	s.told = nil
	s.observe()
	s.post(ev)
}

// show writes a message of Usher's.
func (s *scene) show(reply Reply, m Message) {
	if reply.Text.Empty() {
		return
	}
	mark := ""
	if reply.Aloud {
		mark = "🔔 "
	}
	body := strings.NewReplacer("&#39;", "'", "&#34;", `"`).Replace(reply.Notice(m).FormattedBody)
	s.page.WriteString("\n> " + mark + strings.ReplaceAll(body, "<br>", "<br>\n> ") + "\n")
}

// post shows the new cards of a command or a knock.
func (s *scene) post(ev invites.Received) {
	todo, err := inbox(s.Runner).CardsTodo(s.t.Context(), invites.CardTodo{Command: ev.Event, Limit: 10})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range todo {
		if c.Event != "" || c.State != invites.CardOpen || c.Kind == invites.CardConfirm {
			continue
		}
		if err := inbox(s.Runner).PostedCard(s.t.Context(), c.ID, id.EventID(fmt.Sprint("$card", c.ID))); err != nil {
			s.t.Fatal(err)
		}
		s.show(s.Card(c, 0, 0), Message{})
	}
}

// Voted implements Chat: it carries the decision out and tells the asker.
func (l lobbyChat) Voted(ctx context.Context, b cards.Ballot) error {
	if b.Card.State == invites.CardOpen {
		return nil
	}
	row, err := l.s.Cards.CarryOut(ctx, b.Card)
	if err != nil {
		return err
	}
	l.s.told = append(l.s.told, func() { l.s.show(l.s.Verdict(b.Card, row), Message{Sender: b.Card.Actor}) })
	return inbox(l.s.Runner).ToldCard(ctx, b.Card.ID)
}

// observe has the ledger see what the homeserver did.
func (s *scene) observe() {
	acts := s.hs.Acts()
	for _, e := range acts[s.seen:] {
		if e.Room == lobby {
			s.member(e.Target, e.Performer)
		}
	}
	s.seen = len(acts)
}

// member has the ledger see the membership of somebody in the lobby.
func (s *scene) member(user, by id.UserID) {
	snap, err := s.hs.Snapshot(s.t.Context(), lobby, alice, nil, true)
	if err != nil {
		s.t.Fatal(err)
	}
	membership, _ := snap.Membership(user)
	event, _ := snap.Event(room.MemberKey(user))
	if event == nil {
		return // the homeserver refused
	}
	observe(s.t, s.Runner, invites.MemberEvent{Event: event.ID, Room: lobby, Target: user, Sender: by, Membership: membership, SentAt: s.now.Now(), SeenAt: s.now.Now()})
}

// happen changes the world.
func (s *scene) happen(what string) {
	answer := func(err error) { s.hs.Before = func(invites.Effect) error { return err } }
	who, does, _ := strings.Cut(what, " ")
	switch {
	case what == "a day passes":
		s.now.Advance(25 * time.Hour)
	case what == "the operator sets up a mail server":
		s.Letters.On = true
	case what == "alice confirms it":
		s.confirm()
	case what == "three days pass":
		s.now.Advance(73 * time.Hour)
		due, err := s.Movers.Due(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range due {
			s.show(s.MoveReminder(r), Message{})
			if err := s.Movers.Reminded(s.t.Context(), r.Move, true); err != nil {
				s.t.Fatal(err)
			}
		}
	case what == "an hour passes":
		s.now.Advance(time.Hour)
	case what == "five minutes pass":
		s.now.Advance(5 * time.Minute)
	case what == "the homeserver limits invitations of the invitee":
		answer(&invites.ActError{Class: invites.ClassLater, Code: invites.CodeLimited, Status: 429, RetryAfter: 5 * time.Minute})
	case what == "the homeserver reaches no other server":
		answer(&invites.ActError{Class: invites.ClassFailed, Code: "M_UNKNOWN", Status: 502, Server: "there"})
	case what == "the homeserver has trouble":
		answer(&invites.ActError{Class: invites.ClassFailed, Code: "M_UNKNOWN", Status: 403, Words: "Failed to connect to antispam server"})
	case what == "the homeserver refuses":
		answer(&invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403, Words: "@tina:here is on the community's ban list"})
	case what == "the homeserver is well":
		s.hs.Before = nil
	case does == "accepts":
		user := id.UserID("@" + who + ":there")
		s.hs.Member(lobby, user, "join")
		s.member(user, user)
	case does == "declines":
		user := id.UserID("@" + who + ":here")
		s.hs.Member(lobby, user, "leave")
		s.member(user, user)
	case strings.HasPrefix(does, "knocks"):
		user := id.UserID("@" + who + ":there")
		_, reason, _ := strings.Cut(does, ": ")
		s.hs.Member(lobby, user, "knock")
		knock := cards.Knock{Event: id.EventID("$" + user), Room: lobby, User: user, Reason: reason}
		if _, err := (&cards.Knocks{Cards: s.Cards, Store: s.Cards.Store.(cards.KnockStore)}).Receive(s.t.Context(), knock); err != nil {
			s.t.Fatal(err)
		}
		s.post(invites.Received{Event: knock.Event})
	default:
		s.t.Fatalf("what is %q?", what)
	}
}

// confirm has alice confirm the last command, and what it asks for carried out.
func (s *scene) confirm() {
	todo, err := inbox(s.Runner).CardsTodo(s.t.Context(), invites.CardTodo{Command: id.EventID(fmt.Sprint("$", s.said)), Limit: 10})
	if err != nil || len(todo) != 1 {
		s.t.Fatalf("%+v %v", todo, err)
	}
	ballot, err := s.Cards.Vote(s.t.Context(), todo[0], invites.Vote{Voter: alice, Choice: invites.Accept, Room: lobby, Event: "$confirmed", At: s.now.Now()})
	if err == nil {
		_, err = s.Cards.CarryOut(s.t.Context(), ballot.Card)
	}
	if err == nil {
		err = inbox(s.Runner).ToldCard(s.t.Context(), todo[0].ID)
	}
	for _, woken := range s.Requests.Queue.(*invitestest.Queue).Take() {
		if err == nil {
			_, err = s.Requests.Delivery.Deliver(s.t.Context(), woken.Row)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.observe()
}
