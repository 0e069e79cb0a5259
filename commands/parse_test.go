package commands

import (
	"errors"
	"os"
	"strings"
	"testing"

	"usher/invites"
	"usher/words"
)

// meaning is a message as understood: the form of the command and its arguments, or "✗" and the refusal. A person or a room stands as
// an id, text in quotes; “bob”? is the name of a person who has to be looked up, and ↩ the author of the message replied to.
func meaning(d *Runner, m Message) string {
	m.Sender, m.Room = alice, lobby
	g, ok := d.given(m)
	if !ok {
		return "-"
	}
	command := d.find(g.name)
	if command == nil || g.spaced {
		reply := d.unknown(g)
		if reply.Empty() {
			return "-"
		}
		return "? " + reply.Text.String()
	}
	c := d.newCall(invites.Received{Sender: alice}, m, command)
	if err := c.read(g); err != nil {
		var fault Fault
		if !errors.As(err, &fault) {
			return err.Error()
		}
		return "✗ " + words.For("").Text(fault.Phrase)
	}
	if c.help {
		return "help " + c.form.name()
	}
	parts := []string{c.form.name()}
	for _, p := range c.form.params() {
		words := c.words[p.Key]
		if len(words) == 0 {
			continue
		}
		if p.class == classFlag {
			parts = append(parts, "--"+p.Key)
			continue
		}
		var list []string
		for _, w := range words {
			list = append(list, shown(w))
		}
		switch {
		case p.prose:
			if text := c.text(p.Key); text != "" {
				parts = append(parts, "“"+text+"”")
			}
		case p.class == classRoom:
			parts = append(parts, "in "+list[0])
		default:
			parts = append(parts, list...)
		}
	}
	return strings.Join(parts, " ")
}

func shown(w word) string {
	r := w.read(alice)
	switch {
	case w.reply:
		return "↩"
	case w.class(alice) == classNumber:
		return w.text
	case w.name:
		return "“" + w.text + "”?"
	case r.class == classPerson && r.user != "":
		return string(r.user)
	case r.class == classRoom && r.place.name() != "":
		return strings.Join(append([]string{r.place.name()}, r.place.via...), "+")
	}
	return w.text
}

// TestMeaning reads testdata/meaning.txt: commands as people type them, and their meaning.
func TestMeaning(t *testing.T) {
	data, err := os.ReadFile("testdata/meaning.txt")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := newRunner(t)
	rows := 0
	for row := range strings.Lines(string(data)) {
		if row = strings.TrimRight(row, "\n"); row == "" || strings.HasPrefix(row, "#") {
			continue
		}
		in, want, ok := strings.Cut(row, " → ")
		if !ok {
			t.Fatalf("no row: %s", row)
		}
		rows++
		text, replies := strings.CutPrefix(in, "↩ ")
		m := Message{Text: strings.ReplaceAll(text, "⏎", "\n")}
		if replies {
			m.ReplyTo = "$earlier"
		}
		got := meaning(d, m)
		if start, open := strings.CutSuffix(want, "…"); got != want && !(open && strings.HasPrefix(got, start)) {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	if rows < 300 {
		t.Errorf("%d rows", rows)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"invite", "uninvite", "join", "why", "pending", "policy", "ping"}
	for word, want := range map[string]string{
		"invit": "invite", "inviet": "invite", "INVTE": "invite", "uninvit": "uninvite", "jion": "join", "pendign": "pending",
		"weather": "", "w": "", "who": "why", "": "", "ban": "", strings.Repeat("x", 100_000): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%.20s: got %q, want %q", word, got, want)
		}
	}
}
