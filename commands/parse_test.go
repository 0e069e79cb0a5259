package commands

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"usher/invites"
)

// meaning is a message as understood: the form of the command and each argument with its words, or the fault.
func meaning(d *Runner, m Message) string {
	m.Sender = alice
	g, ok := d.given(m)
	command := d.find(g.name)
	if !ok || command == nil {
		return ""
	}
	c := d.newCall(invites.Received{Sender: alice}, m, command)
	if err := c.read(g); err != nil {
		var fault Fault
		if !errors.As(err, &fault) {
			return err.Error()
		}
		return "✗ " + said(fault.Phrase)
	}
	parts := []string{c.form.name()}
	for _, key := range slices.Sorted(maps.Keys(c.words)) {
		var words []string
		for _, w := range c.words[key] {
			words = append(words, w.text)
		}
		parts = append(parts, key+"="+strings.Join(words, ","))
	}
	return strings.Join(parts, " ")
}

// TestMeaning: commands as people type them, and their meaning.
func TestMeaning(t *testing.T) {
	tests := []struct{ in, want string }{
		{"!invite @bob:here", "invite user=@bob:here"},
		{"!INVITE @bob:here", "invite user=@bob:here"},
		{"usher: invite @bob:here", "invite user=@bob:here"},
		{"!invite @bob:here, @dora:here", "invite user=@bob:here,,@dora:here"},
		{"!invite @bob:here #lobby:here", "invite room=#lobby:here user=@bob:here"},
		{"!invite @bob:here !lobby:here be my guest", "invite reason=be,my,guest room=!lobby:here user=@bob:here"},
		{"!invite @bob:here https://matrix.to/#/!lobby:here", "invite room=https://matrix.to/#/!lobby:here user=@bob:here"},
		{`!invite @bob:here "be my guest"`, "invite reason=be my guest user=@bob:here"},
		{`!invite @bob:here "#lobby:here"`, "invite reason=#lobby:here user=@bob:here"},
		{"!invite @bob:here 3 or 7d", "invite reason=3,or,7d user=@bob:here"},
		{"!invite --dry-run @bob:here", "invite dry-run=--dry-run user=@bob:here"},
		{"!invite @bob:here —dry-run", "invite dry-run=—dry-run user=@bob:here"},
		{"!invite @bob:here be –as-bot my guest", "invite as-bot=–as-bot reason=be,my,guest user=@bob:here"},
		{`!invite @bob:here "--dry-run"`, "invite reason=--dry-run user=@bob:here"},
		{"!invite @bob:here – at last", "invite reason=–,at,last user=@bob:here"},
		{"!invite", "✗ Whom? Usage: !invite <user>… [room] [reason…] [--dry-run] [--as-bot]"},
		{"!invite bob", "✗ Whom? Usage: !invite <user>… [room] [reason…] [--dry-run] [--as-bot]"},
		{"!invite @bob:bad/server", "✗ @bob:bad/server is no user id. One looks like @name:server.org."},
		{"!invite @bob:here --dryrun", "✗ I don't know the flag --dryrun. Did you mean --dry-run? Usage: !invite <user>… [room] [reason…] [--dry-run] [--as-bot]"},
		{"!invite @bob:here --force", "✗ I don't know the flag --force. Usage: !invite <user>… [room] [reason…] [--dry-run] [--as-bot]"},
		{"!join #lobby:here", "join room=#lobby:here"},
		{"!join", "✗ Which room? Usage: !join <room> [--dry-run] [--bot]"},
		{"!join lobby", "✗ lobby is no room. One looks like #name:server.org, !id, or a link."},
		{"!why @bob:here Kick #lobby:here", "why action=Kick room=#lobby:here user=@bob:here"},
		{"!why @bob:here dance", "✗ I don't understand “dance”. Usage: !why <user>… [invite|join|knock|kick|ban|unban] [room] [--as-bot]"},
		{"!audit @bob:here 7d #lobby:here", "audit room=#lobby:here since=7d user=@bob:here"},
		{"!audit 2026-01-31", "audit since=2026-01-31"},
		{"!tree #lobby:here", "tree room=#lobby:here"},
		{"!prune @bob:here @dora:here", "✗ One branch at a time. Usage: !prune <user> [room] [--as-bot]"},
		{"!approve 1 #3, 5-7", "approve number=1,#3,,5-7"},
		{"!approve", "✗ Which? Each card has its number. Usage: !approve <number>… [room]"},
		{"!deny 3 #lobby:here not now --ban", "deny ban=--ban number=3 reason=not,now room=#lobby:here"},
		{"!knocks", "knocks"},
		{"!knocks #lobby:here", "knocks room=#lobby:here"},
		{"!knocks accept 1-3 #lobby:here", "knocks accept number=1-3 room=#lobby:here"},
		{"!knocks Accept all", "knocks accept all"},
		{"!knocks accept", "✗ Which? Each card has its number. Usage: !knocks accept <number>… [room]"},
		{"!knocks acept all", "✗ I don't understand “acept”. Did you mean accept? Usage: !knocks [room]"},
		{"!policy", "policy"},
		{"!policy #lobby:here", "policy room=#lobby:here"},
		{"!policy #lobby:here set whom.lists #list:here", "policy set field=whom.lists room=#lobby:here value=#list:here"},
		{"!policy set whom.max_members", "✗ Which field, and what value? !policy fields lists them. Usage: !policy [room] set <field> <value>…"},
		{"!policy unset a b", "✗ I don't understand “b”. Usage: !policy [room] unset <field>"},
		{"!policy test @a:here invite @b:here @c:here", "policy test action=invite actor=@a:here user=@b:here,@c:here"},
		{"!policy test @a:here @b:here", "✗ Say who, invite, and whom. Usage: !policy [room] test <actor> invite <user>…"},
		{"!policy preset", "policy preset"},
		{"!policy preset open", "policy preset name=open"},
		{"!policy hsitory", "✗ I don't understand “hsitory”. Did you mean history? Usage: !policy [room]"},
		{"!lists watch #list:here", "lists watch list=#list:here"},
		{"!lists #lobby:here unwatch !list", "lists unwatch list=!list room=#lobby:here"},
		{"!lists watch", "✗ Which list? Usage: !lists [room] watch <list>"},
		{"!help policy set", "help command=policy,set"},
		{"!ping", "ping"},
	}
	d, _ := newRunner(t)
	for _, tt := range tests {
		if got := meaning(d, Message{Text: tt.in}); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.in, got, tt.want)
		}
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
