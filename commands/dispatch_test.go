package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
	"usher/room"
	"usher/store"
	"usher/store/storetest"
)

const (
	alice = id.UserID("@alice:here")
	carol = id.UserID("@carol:here")
	admin = id.UserID("@admin:here")
	lobby = id.RoomID("!lobby:here")
)

// newRunner is a runner over a real store and a model homeserver, where alice made the lobby and carol is in it.
func newRunner(t *testing.T) (*Runner, *invitestest.Homeserver) {
	t.Helper()
	hs := &invitestest.Homeserver{}
	return newRunnerOver(t, hs, hs), hs
}

// newRunnerOver is a runner that reaches the homeserver through another one.
func newRunnerOver(t *testing.T, hs *invitestest.Homeserver, through invitestest.FullHomeserver) *Runner {
	t.Helper()
	db := storetest.Open(t)
	hs.Create(lobby, "11", alice, "@usher:here", carol)
	self, clock := invites.Identity{Bot: "@usher:here", Domain: "here", Assert: true}, invitestest.NewClock()
	domain := invitestest.New(db, invitestest.Surroundings{
		Homeserver: through, Queue: &invitestest.Queue{}, Clock: clock, Self: self, AtOnce: 3, Lease: time.Minute, GiveUp: time.Hour,
	})
	return &Runner{
		Notices: Notices{Prefix: "!", Self: self},
		UseCases: UseCases{
			Requests: domain.Requests, Policies: domain.Editor, Ledger: domain.Ledger, Cards: domain.Cards, Links: domain.Links, Sessions: domain.Sessions, Letters: mailbag(domain, db, clock), Judge: domain.Judge, Clock: clock, Choices: db, Movers: domain.Movers, Spaces: domain.Spaces,
		},
		Version: "v1", Conditions: Conditions{Age: Age{Max: 10 * time.Minute}},
		Names: []string{"Usher"},
		Level: func(u id.UserID) Level {
			return map[id.UserID]Level{admin: Operator, "@eve:there": Nobody}[u] + levelOf(u)
		},
		RoundTrip: func(context.Context) error { return nil },
		Chat:      chat{},
	}
}

// chat is a chat with a few direct rooms. It does not show votes.
type chat struct{}

func (chat) DirectWith(r id.RoomID) id.UserID {
	return map[id.RoomID]id.UserID{"!direct:here": alice, "!bobs:here": bob, "!admins:here": admin}[r]
}

func (chat) Retry(id.RoomID) bool { return true }

func (chat) Voted(context.Context, cards.Ballot) error { return nil }

func (chat) Beside(ctx context.Context, _ invites.Received, rest func(context.Context) (Reply, error)) (Reply, error) {
	return rest(ctx)
}

func (chat) Besides(context.Context, Message, Reply) error { return nil }

func (chat) Knocking(context.Context, id.RoomID) error { return nil }

func (chat) Settled(context.Context, id.RoomID) error { return nil }

func levelOf(u id.UserID) Level {
	if u.Homeserver() == "here" && u != admin {
		return User
	}
	return Nobody
}

// inbox is the store behind the use cases.
func inbox(d *Runner) *store.Store { return d.Requests.Store.(*store.Store) }

// say dispatches a text as somebody in a room.
func say(t *testing.T, d *Runner, in id.RoomID, sender id.UserID, text string, change ...func(*invites.Received)) (Message, Reply) {
	t.Helper()
	content, err := json.Marshal(map[string]any{"content": map[string]any{"msgtype": "m.text", "body": text}})
	if err != nil {
		t.Fatal(err)
	}
	now := d.Clock.Now()
	ev := invites.Received{
		Event: id.EventID(fmt.Sprintf("$%x", text)), Room: in, Sender: sender, Type: "m.room.message", Raw: content, SentAt: now, ReceivedAt: now,
	}
	for _, c := range change {
		c(&ev)
	}
	if _, err := inbox(d).Receive(t.Context(), []invites.Received{ev}); err != nil {
		t.Fatal(err)
	}
	m, reply, err := dispatch(t, d, ev)
	if err != nil {
		t.Fatal(err)
	}
	return m, reply
}

// dispatch reads and runs the command in an event.
func dispatch(t *testing.T, d *Runner, ev invites.Received) (Message, Reply, error) {
	m, c, reply, err := d.Read(t.Context(), ev)
	if c != nil {
		c.Touches(t.Context())
		reply, err = c.Run(t.Context())
	}
	return m, reply, err
}

// paused is a homeserver that held everything back for a while.
type paused time.Duration

func (p paused) Unheard(time.Time, time.Time) time.Duration { return time.Duration(p) }

// TestAgeOfCommand: a command that was sent in an outage of Usher's is too old after max_age; the time for which the homeserver held it
// back after the outage does not count.
func TestAgeOfCommand(t *testing.T) {
	for _, c := range []struct {
		minutes, held time.Duration
		runs          bool
	}{{9, 0, true}, {11, 0, false}, {15, 6, true}, {15, 4, false}, {7 * 24 * 60, 10, false}} {
		d, _ := newRunner(t)
		d.Age.Hearing = paused(c.held * time.Minute)
		_, reply := say(t, d, lobby, alice, "!invite @bob:here", func(ev *invites.Received) { ev.SentAt = ev.SentAt.Add(-c.minutes * time.Minute) })
		if runs := reply.React == "✅"; runs != c.runs {
			t.Errorf("%+v: %+v", c, reply)
		}
	}
}

func TestDispatchAnswers(t *testing.T) {
	late := func(ev *invites.Received) { ev.SentAt = ev.SentAt.Add(-time.Hour) }
	redacted := func(ev *invites.Received) { ev.Redacted = true }
	notice := func(ev *invites.Received) {
		ev.Raw = json.RawMessage(`{"content":{"msgtype":"m.notice","body":"!invite @bob:here"}}`)
	}
	edit := func(ev *invites.Received) {
		ev.Raw = json.RawMessage(`{"content":{"msgtype":"m.text","body":"!invite @bob:here","m.relates_to":{"rel_type":"m.replace","event_id":"$x"}}}`)
	}
	tests := []struct {
		name   string
		sender id.UserID
		text   string
		change func(*invites.Received)
		react  string
		has    string // the notice has; empty: there is none
	}{
		{"success is a reaction", alice, "!invite @bob:here", nil, "✅", ""},
		{"a name without a server is on the asker's own", alice, "!invite @bob", nil, "✅", ""},
		{"a refusal has its code", carol, "!invite @bob:here", nil, "", "invite.power"},
		{"and its fix", carol, "!invite @bob:here", nil, "", "An admin can raise you to 50"},
		{"some in, some not", alice, "!invite @bob:here @carol:here", nil, "⚠️", "@carol:here is in the room already"},
		{"dry run", alice, "!invite @bob:here --dry-run", nil, "", "✅ @bob:here: Allowed"},
		{"dry run by a dash", alice, "!invite @bob:here —dry-run", nil, "", "✅ @bob:here: Allowed"},
		{"no dry run by a dash", alice, "!invite @bob:here – at last", nil, "✅", ""},
		{"a field whose letters change their length", alice, "!policy set guard.levels." + strings.Repeat("Ⱥ", 20) + " 5", nil, "", "is no field"},
		{"dry run of a refusal", carol, "!invite --dry-run @bob:here", nil, "", "❌ @bob:here"},
		{"why", alice, "!why @bob:here", nil, "", "Allowed: I would send an invite in your name"},
		{"why not join", alice, "!why @bob:here join", nil, "", "join.not_invited"},
		{"why not join, of somebody whom I can't act for", alice, "!why @zoe:there join", nil, "", "join.not_invited"},
		{"why not knock, of somebody whom I can't act for", alice, "!why @zoe:there knock", nil, "", "knock.rule"},
		{"why not kick", carol, "!why @alice:here kick", nil, "", "kick.power"},
		{"why in a room that one is not in", alice, "!why @bob:here invite !other:here", nil, "", "rooms that you are in"},
		{"whom", alice, "!invite", nil, "", "Usage: !invite <user>"},
		{"no user", alice, "!invite @bob:bad/server", nil, "", "is no user id"},
		{"unknown flag", alice, "!invite @bob:here --force", nil, "", "--force"},
		{"unknown alias", alice, "!invite @bob:here #nowhere:here", nil, "", "I know no room #nowhere:here"},
		{"other bots' commands", alice, "!weather", nil, "", ""},
		{"unknown, but it was to me", alice, "@usher:here: dance", nil, "", "I know no command “dance”"},
		{"by mention", alice, "usher: invite @bob:here", nil, "✅", ""},
		{"ping", alice, "!ping", nil, "", "Pong!"},
		{"help", alice, "!help", nil, "", "!invite <user>"},
		{"help on one", alice, "!help why", nil, "", "!why <user>"},
		{"help on one as it is said", alice, "!help !Ping", nil, "", "!ping — "},
		{"nobody's bot", "@eve:there", "!invite @bob:here", nil, "", "permissions"},
		{"joining the bot is for operators", alice, "!join --bot !lobby:here", nil, "", "Only operators"},
		{"join what", alice, "!join", nil, "", "Please name the room"},
		{"join nothing", alice, "!join lobby", nil, "", "is no room"},
		{"too old", alice, "!invite @bob:here", late, "", "too_old"},
		{"redacted", alice, "!invite @bob:here", redacted, "", ""},
		{"a notice", alice, "!invite @bob:here", notice, "", ""},
		{"an edit", alice, "!invite @bob:here", edit, "", ""},
		{"hostile text", alice, "!invite @bob:here #x:here\u202e", nil, "", "is no room"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := newRunner(t)
			var changes []func(*invites.Received)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			_, reply := say(t, d, lobby, tt.sender, tt.text, changes...)
			if reply.React != tt.react {
				t.Errorf("reaction %q, want %q (%s)", reply.React, tt.react, reply.Text.String())
			}
			if got := reply.Text.String(); (tt.has == "") != (got == "") || !strings.Contains(got, tt.has) {
				t.Errorf("notice %q, want %q in it", got, tt.has)
			}
		})
	}
}

func TestDirectChatNeedsARoom(t *testing.T) {
	d, hs := newRunner(t)
	if _, reply := say(t, d, "!direct:here", alice, "!invite @bob:here"); !strings.Contains(reply.Text.String(), "name the room") {
		t.Errorf("got %q", reply.Text.String())
	}
	if _, reply := say(t, d, "!direct:here", alice, "!invite @bob:here #lobby:here be my guest"); reply.React != "✅" {
		t.Errorf("got %q", reply.Text.String())
	}
	if acts := hs.Acts(); len(acts) != 1 || acts[0].Reason != "be my guest" || acts[0].Room != lobby {
		t.Errorf("acts %+v", acts)
	}
}

func TestReplyContent(t *testing.T) {
	d, _ := newRunner(t)
	m, reply := say(t, d, lobby, carol, "!invite @bob:here")
	c := reply.Notice(m)
	if c.MsgType != "m.notice" || c.RelatesTo.GetReplyTo() != m.Event {
		t.Errorf("%+v is no notice in reply", c)
	}
	if len(c.Mentions.UserIDs) != 1 || c.Mentions.UserIDs[0] != carol || c.Mentions.Room {
		t.Errorf("mentions %+v, want the asker", c.Mentions)
	}
	m.Thread = "$root"
	if c := reply.Notice(m); c.RelatesTo.GetThreadParent() != "$root" {
		t.Error("the answer leaves the thread")
	}
	if c := reply.Edit(m, "$earlier"); c.RelatesTo.GetReplaceID() != "$earlier" || c.NewContent == nil {
		t.Errorf("%+v is no edit", c)
	}
}

func TestInternalTroubleIsNotAReply(t *testing.T) {
	d, hs := newRunner(t)
	hs.Before = func(invites.Effect) error { return nil }
	d.RoundTrip = func(context.Context) error { return errors.New("secret detail") }
	now := d.Clock.Now()
	_, _, err := dispatch(t, d, invites.Received{
		Event: "$p", Room: lobby, Sender: alice, Raw: json.RawMessage(`{"content":{"msgtype":"m.text","body":"!ping"}}`), SentAt: now, ReceivedAt: now,
	})
	if err == nil {
		t.Error("the lane is not told to try again")
	}
}

func TestOutcomeOfManyTellsWhatIsLeft(t *testing.T) {
	now := time.Unix(0, 0)
	row := func(s invites.Status, code, detail string, due time.Duration) invites.Change {
		return invites.Change{Target: "@x:y", Status: s, Code: code, Detail: room.ReadPhrase(detail), DueAt: now.Add(due)}
	}
	tests := []struct {
		name string
		rows []invites.Change
		has  string
		more bool
	}{
		{"under way", []invites.Change{row(invites.StatusDone, "done", "", 0), row(invites.StatusOpen, "invite", "", 0)}, "⏳ 1 of 2 done; the rest is on its way.", true},
		{"limited", []invites.Change{row(invites.StatusOpen, "M_LIMIT_EXCEEDED", "", 5*time.Minute)}, "about 5 minutes", true},
		{"trouble", []invites.Change{row(invites.StatusOpen, "M_UNKNOWN", "", 10*time.Second)}, "trouble", true},
		{"a server that does not answer", []invites.Change{{Status: invites.StatusOpen, Code: invites.CodeServer, Detail: room.Say("detail.unreachable", "server", "y.example"),
			DueAt: now.Add(time.Second)}}, "⏳ Not done yet: y.example does not answer yet", true},
		{"cancelled", []invites.Change{row(invites.StatusCancelled, "redacted", "The command was taken back.", 0)}, "taken back", false},
	}
	for _, tt := range tests {
		reply := Outcome(tt.rows, now)
		if got := reply.Text.String(); !strings.Contains(got, tt.has) || reply.Progress != tt.more {
			t.Errorf("%s: got %q %v", tt.name, got, reply.Progress)
		}
	}
}

// TestListsAreNotLent: whoever is not in a list's room gets one and the same answer, whether the bot is there or not.
func TestListsAreNotLent(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []id.UserID // the members of the list's room; nil: there is no room
		has  string
	}{
		{"no bot there", nil, "policy.lists.unreadable"},
		{"not there oneself", []id.UserID{"@usher:here"}, "policy.lists.unreadable"},
		{"both there", []id.UserID{"@usher:here", alice}, "0 rules now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			if tt.in != nil {
				hs.Create("!list:here", "11", "@keeper:there", tt.in...)
			}
			unreadable := "I can't read that list for you: you must be in its room, or anybody may read it, and I must be there, too. " +
				"Invite me first, or have an operator of mine watch it. (policy.lists.unreadable)"
			_, reply := say(t, d, lobby, alice, "!lists watch !list:here")
			if got := reply.Text.String(); !strings.Contains(got, tt.has) || (got == unreadable) != (tt.has == "policy.lists.unreadable") {
				t.Errorf("watch: got %q", got)
			}
			hs.Set(lobby, "chat.usher.policy", "", alice, map[string]any{"version": 1, "whom": map[string]any{"lists": []string{"!list:here"}}})
			_, reply = say(t, d, lobby, alice, "!lists")
			want := "!list:here — I can't read it for you. If I can't read it at all, I invite nobody until I can: invite me there, or unwatch it."
			if len(tt.in) == 2 {
				want = "!list:here — 0 rules"
			}
			if got := reply.Text.String(); !strings.HasSuffix(got, want) {
				t.Errorf("show: got %q", got)
			}
		})
	}
}

// silent is a homeserver with a server that does not answer look-ups of its aliases: they end with their context. The homeserver itself
// answers for another one at once that it can't be reached.
type silent struct{ *invitestest.Homeserver }

// Resolve implements requests.Homeserver.
func (silent) Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error) {
	if server := id.UserID(alias).Homeserver(); server == "gone.example" {
		return "", nil, &invites.ActError{Class: invites.ClassFailed, Code: "M_UNKNOWN", Status: 502, Server: server, Err: errors.New("unreachable")}
	}
	<-ctx.Done()
	return "", nil, ctx.Err()
}

// TestAliasOfSilentServer: a look-up at a server that does not answer ends within three seconds, with an answer that names the server.
func TestAliasOfSilentServer(t *testing.T) {
	t.Parallel()
	hs := &invitestest.Homeserver{}
	r := newRunnerOver(t, hs, silent{hs})
	for text, server := range map[string]string{
		"!join #x:gone.example": "gone.example", "!why @x:here invite #x:gone.example": "gone.example",
		"!join #x:silent.example": "silent.example",
		"!policy set knocks.accept_members_of #a:silent.example #b:silent.example": "silent.example",
	} {
		start := time.Now()
		_, reply := say(t, r, lobby, alice, text)
		if took := time.Since(start); took > lookupsTake+10*time.Second {
			t.Errorf("%s took %s", text, took)
		}
		if got := reply.Text.String(); !strings.Contains(got, server+" does not answer") {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// secretRooms are encrypted rooms.
type secretRooms map[id.RoomID]bool

func (s secretRooms) Encrypted(_ context.Context, r id.RoomID) (bool, error) {
	if encrypted, known := s[r]; known {
		return encrypted, nil
	}
	return false, invites.ErrNoView
}

// TestProtectedCommands: in an encrypted room, a command with too little protection is not run, and its sender learns why. Chat, and users
// without permission, get no such answer.
func TestProtectedCommands(t *testing.T) {
	for _, c := range []struct {
		least, has invites.Protection
		encrypted  bool
		code       string // of the refusal; empty: it runs
	}{
		{invites.Plain, invites.Plain, true, ""},
		{invites.Encrypted, invites.Plain, true, "not_encrypted"},
		{invites.Encrypted, invites.Plain, false, ""},
		{invites.Encrypted, invites.Encrypted, true, ""},
		{invites.Verified, invites.Plain, true, "not_encrypted"},
		{invites.Verified, invites.Encrypted, true, "not_verified"},
		{invites.Verified, invites.Encrypted, false, ""},
		{invites.Verified, invites.Verified, true, ""},
	} {
		d, hs := newRunner(t)
		d.Protected = Protected{Least: c.least, Rooms: secretRooms{lobby: c.encrypted}}
		protected := func(ev *invites.Received) { ev.Protection = c.has }
		_, reply := say(t, d, lobby, alice, "!invite @bob:here", protected)
		if runs := reply.React == "✅"; runs != (c.code == "") || !strings.Contains(reply.Text.String(), c.code) {
			t.Errorf("%+v: %+v", c, reply)
		}
		if acted := len(hs.Acts()) > 0; acted != (c.code == "") {
			t.Errorf("%+v: acted %v", c, acted)
		}
		if _, reply := say(t, d, lobby, alice, "good morning", protected); !reply.Empty() {
			t.Errorf("chat is answered: %+v", reply)
		}
	}
	d, _ := newRunner(t)
	d.Protected = Protected{Least: invites.Encrypted, Rooms: secretRooms{}}
	ev := invites.Received{Event: "$1", Room: lobby, Sender: alice, Type: "m.room.message", Raw: json.RawMessage(`{"content":{"msgtype":"m.text","body":"!invite @bob:here"}}`)}
	if _, _, err := dispatch(t, d, ev); !errors.Is(err, invites.ErrNoView) {
		t.Errorf("a room of unknown encryption: %v", err)
	}
}
