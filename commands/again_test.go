package commands

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/words"
)

// edits makes an event the edit of a message.
func edits(event id.EventID, of id.EventID, text string) func(*invites.Received) {
	return func(ev *invites.Received) {
		ev.Event = event
		ev.Raw, _ = json.Marshal(map[string]any{"content": map[string]any{
			"msgtype": "m.text", "body": "* " + text, "m.new_content": map[string]any{"msgtype": "m.text", "body": text},
			"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": of},
		}})
	}
}

// TestEdits: the edit of a command that failed runs, once, if its author makes it soon. No other edit does.
func TestEdits(t *testing.T) {
	const mended = "!invite @bob:here"
	for _, tt := range []struct {
		name, first, edit string
		sender            id.UserID
		change            func(*invites.Received)
		runs              bool
	}{
		{name: "a typo in the id", first: "!invite @bob:he/re", edit: mended, runs: true},
		{name: "a typo in the command", first: "!inivte @bob:here", edit: mended, runs: true},
		{name: "a word too much", first: "!invite @bob:here see #lobby", edit: mended, runs: true},
		{name: "a name that nobody has", first: "!invite @bbo:here", edit: mended, runs: true},
		{name: "by somebody else", first: "!invite @bob:he/re", edit: mended, sender: carol},
		{name: "too late", first: "!invite @bob:he/re", edit: mended, change: func(ev *invites.Received) {
			ev.SentAt, ev.ReceivedAt = ev.SentAt.Add(time.Hour), ev.ReceivedAt.Add(time.Hour)
		}},
		{name: "in another room", first: "!invite @bob:he/re", edit: mended, change: func(ev *invites.Received) { ev.Room = "!other:here" }},
		{name: "of a command that succeeded", first: "!invite @dora:here", edit: mended},
		{name: "of one that did something else", first: "!ping", edit: mended},
		{name: "of a dry run", first: "!invite @bob:here --dry-run", edit: mended},
		{name: "of a question for help", first: "!invite --help", edit: mended},
		{name: "of words that were no command", first: "hello", edit: mended},
		{name: "of another bot's command", first: "!weather", edit: mended},
		{name: "to nothing", first: "!invite @bob:he/re", edit: "never mind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			d.Inbox = inbox(d)
			d.People = &known{users: map[id.UserID]string{"@bob:here": "", "@dora:here": ""}}
			hs.Create("!other:here", "11", alice, "@usher:here")
			first, _ := say(t, d, lobby, alice, tt.first)
			before := len(hs.Acts())
			if tt.sender == "" {
				tt.sender = alice
			}
			changes := []func(*invites.Received){edits("$edit", first.Event, tt.edit)}
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			m, reply := say(t, d, lobby, tt.sender, tt.edit, changes...)
			if ran := len(hs.Acts()) > before; ran != tt.runs || ran && reply.React != "✅" || !ran && !reply.Empty() {
				t.Errorf("ran: %v, said %q", ran, reply.Text.String())
			}
			if tt.runs && (reply.Reaction(m).RelatesTo.EventID != first.Event || m.Event != "$edit") {
				t.Error("the reaction is on the edit, not on the message that people see")
			}
			if again, reply := say(t, d, lobby, alice, "!invite @dora:here", edits("$edit2", first.Event, "!invite @dora:here")); tt.runs && !reply.Empty() {
				t.Errorf("a second edit ran: %s", again.Text)
			}
			if _, reply := say(t, d, lobby, tt.sender, tt.edit, changes...); tt.runs && reply.React != "✅" {
				t.Errorf("the same edit after a crash: %q", reply.Text.String())
			}
		})
	}
}

// TestEditOfRedacted: who takes the message back takes its edit back.
func TestEditOfRedacted(t *testing.T) {
	d, _ := newRunner(t)
	d.Inbox = inbox(d)
	first, _ := say(t, d, lobby, alice, "!invite @bob:he/re")
	say(t, d, lobby, alice, "", edits("$edit", first.Event, "!invite @bob:here"))
	if _, err := inbox(d).Redact(t.Context(), first.Event, alice); err != nil {
		t.Fatal(err)
	}
	if redacted, _, err := inbox(d).Redacted(t.Context(), "$edit"); err != nil || !redacted {
		t.Errorf("the edit stands: %v", err)
	}
}

// TestDirectChat: no prefix is needed there, and every message is answered.
func TestDirectChat(t *testing.T) {
	for text, has := range map[string]string{
		"help": "Inviting", "HELP": "Inviting", "ping": "Pong!", "/ping": "Pong!", "!ping": "Pong!", "ping!": "Pong!", "usher: ping": "Pong!",
		"hi": "Try !help.", "what can you do?": "Try !help.", "🙂": "Try !help.", "inivte @bob:here": "Did you mean !invite?", "!weather": "Try !help.",
		"invite @bob:here": "name the room", "invite @bob:here #nowhere:here": "I know no room", "hilfe": "Inviting",
		"invite @bob:here to !lobby:here": "",
	} {
		d, _ := newRunner(t)
		_, reply := say(t, d, "!direct:here", alice, text)
		if got := reply.Text.String(); !strings.Contains(got, has) || reply.Empty() || has == "" && reply.React != "✅" {
			t.Errorf("%s: %q", text, got)
		}
		d, _ = newRunner(t)
		if _, reply := say(t, d, lobby, alice, strings.TrimLeft(text, "!/")); !reply.Empty() && !strings.HasPrefix(text, "usher") {
			t.Errorf("%s in a room: %q", text, reply.Text.String())
		}
	}
}

// TestHelpLinksToTheGuide, where the operator names one.
func TestHelpLinksToTheGuide(t *testing.T) {
	d, _ := newRunner(t)
	for _, d.Guide = range []string{"", "https://wiki.example/usher"} {
		_, reply := say(t, d, lobby, alice, "!help")
		if text := reply.Text.String(); strings.Contains(text, "A page on") != (d.Guide != "") || !strings.Contains(text, d.Guide) {
			t.Errorf("guide %q: %s", d.Guide, text)
		}
	}
}

// TestHelpFitsOneScreen: a phone shows some 30 lines of some 45 characters.
func TestHelpFitsOneScreen(t *testing.T) {
	d, _ := newRunner(t)
	_, reply := say(t, d, lobby, alice, "!help")
	lines := strings.Split(reply.Text.String(), "\n")
	if len(lines) > 35 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len([]rune(line)) > 52 {
			t.Errorf("too long: %s", line)
		}
	}
	listed := reply.Text.String()
	for _, c := range Table() {
		if !strings.Contains(listed, "!"+c.Name) {
			t.Errorf("%s is not listed", c.Name)
		}
		_, reply := say(t, d, lobby, alice, "!help "+c.Name)
		for _, has := range []string{"!" + c.Name, "For example:", "See also: !"} {
			if !strings.Contains(reply.Text.String(), has) {
				t.Errorf("help of %s lacks %q: %s", c.Name, has, reply.Text.String())
			}
		}
		for _, other := range c.See {
			if d.find(other) == nil {
				t.Errorf("%s: there is no %s", c.Name, other)
			}
		}
	}
}

// TestSamples: the examples of the help mean what they say.
func TestSamples(t *testing.T) {
	d, _ := newRunner(t)
	for _, c := range Table() {
		for sample := range strings.Lines(words.For("").Text(room.Say("sample."+c.Name, "prefix", "!"))) {
			sample = strings.TrimSpace(sample)
			if got := meaning(d, Message{Text: sample}); !strings.HasPrefix(got, c.Name) {
				t.Errorf("%s: %s", sample, got)
			}
		}
	}
}

// TestPolicyValues: lists in JSON, with other quotes and without; lengths of time in words; mistyped fields.
func TestPolicyValues(t *testing.T) {
	for text, has := range map[string]string{
		`!policy set whom.deny_servers ["*.evil.example", "bad.example"]`: "people of *.evil.example, people of bad.example",
		`!policy set whom.deny_servers [“*.evil.example”, “bad.example”]`: "people of *.evil.example, people of bad.example",
		`!policy set whom.deny_servers ['*.evil.example','bad.example']`:  "people of *.evil.example, people of bad.example",
		`!policy set whom.deny_servers [*.evil.example, bad.example]`:     "people of *.evil.example, people of bad.example",
		`!policy set whom.deny_servers "*.evil.example" "bad.example"`:    "people of *.evil.example, people of bad.example",
		`!policy set whom.deny_servers *.evil.example, bad.example`:       "people of *.evil.example, people of bad.example",
		`!policy set whom.deny_users ["@spam*:*", "@eve:there"]`:          "@eve:there",
		`!policy set quota.person.per 1 day`:                              "Any number of invitations",
		`!policy set quota.person.per 36 hours`:                           "Any number of invitations",
		`!policy set quota.person.per 2 Wochen`:                           "Any number of invitations",
		`!policy set quota.person.per 2 Monate`:                           "must be a duration",
		`!policy set quota.persn.count 5`:                                 "Did you mean quota.person.count?",
		`!policy unset quota.persn.count`:                                 "Did you mean quota.person.count?",
		`!policy fields quota`:                                            "quota.person.count",
		`!policy fields qouta`:                                            "Did you mean quota?",
	} {
		d, _ := newRunner(t)
		if _, reply := say(t, d, lobby, alice, text); !strings.Contains(reply.Text.String(), has) {
			t.Errorf("%s: %q", text, reply.Text.String())
		}
	}
	d, _ := newRunner(t)
	if _, reply := say(t, d, lobby, alice, "!policy fields quota"); strings.Contains(reply.Text.String(), "whom.") {
		t.Errorf("not filtered: %q", reply.Text.String())
	}
}
