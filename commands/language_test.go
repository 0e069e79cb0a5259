package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/words"
)

// in renders a reply as the sender of messages does: in the language of the room.
func in(t *testing.T, d *Runner, r Reply, where string) string {
	t.Helper()
	r.Lang = where
	return string(r.Text.in(r.Lang, nil).plain)
}

// TestLanguageOfAPerson: a person chooses the language of their direct chat. Others keep theirs.
func TestLanguageOfAPerson(t *testing.T) {
	d, _ := newRunner(t)
	for _, test := range [][3]string{
		{"language", "", "I speak en here. I know en, de."},
		{"language klingon", "", "I don't speak klingon, only these: en, de."},
		{"language Deutsch", "de", "Mit dir spreche ich von jetzt an Deutsch."},
		{"sprache", "de", "Hier spreche ich de. Ich kenne en, de."},
		{"!invite @bob:here", "de", "Das ist unser Direktchat: Nenne den Raum."},
		{"hilfe einladen", "de", "Lädt Leute in diesen Raum ein"},
		{"lang en-GB", "en", "I speak English to you from now on."},
	} {
		_, reply := say(t, d, "!direct:here", alice, test[0])
		lang := d.Language(t.Context(), "!direct:here")
		if got := in(t, d, reply, lang); lang != test[1] || !strings.Contains(got, test[2]) {
			t.Errorf("%s: in %q: %q", test[0], lang, got)
		}
	}
	if got := d.Language(t.Context(), lobby); got != "" {
		t.Errorf("the room speaks %q", got)
	}
}

// TestLanguageOfARoom: the room's policy chooses, by the power to write it, and only languages that have words.
func TestLanguageOfARoom(t *testing.T) {
	d, _ := newRunner(t)
	if _, reply := say(t, d, lobby, bob, "!language de"); reply.React != "" || !strings.Contains(reply.Text.String(), "edit.") {
		t.Errorf("bob: %+v %q", reply, reply.Text.String())
	}
	if _, reply := say(t, d, lobby, alice, "!policy set language xx"); reply.React != "" || !strings.Contains(reply.Text.String(), "only these: en, de") {
		t.Errorf("%+v %q", reply, reply.Text.String())
	}
	_, reply := say(t, d, lobby, alice, "!language german")
	lang := d.Language(t.Context(), lobby)
	if got := in(t, d, reply, lang); lang != "de" || reply.React != "✅" || !strings.HasPrefix(got, "Hier spreche ich de.") {
		t.Errorf("in %q: %q", lang, got)
	}
	if _, reply = say(t, d, lobby, alice, "!language"); !strings.HasPrefix(reply.Text.String(), "I speak de here.") {
		t.Errorf("%q", reply.Text.String())
	}
}

// TestFurtherNames: each further name of a command is understood, whatever the language.
func TestFurtherNames(t *testing.T) {
	d, _ := newRunner(t)
	for alias, name := range words.Aliases() {
		if c := d.find(alias); c == nil || c.Name != name || !d.Known(alias) {
			t.Errorf("%s: %v", alias, c)
		}
	}
}

// TestMentions: people and rooms are links. A room has its name for those who may read it, and its id for others.
func TestMentions(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.name", "", admin, map[string]any{"name": "The  <Lobby>"})
	for asker, want := range map[id.UserID]string{
		"":          `Approval is asked for in <a href="https://matrix.to/#/%21lobby:here?via=here">“The &lt;Lobby&gt;”</a>.`,
		alice:       `Approval is asked for in <a href="https://matrix.to/#/%21lobby:here?via=here">“The &lt;Lobby&gt;”</a>.`,
		"@nobody:x": `Approval is asked for in <a href="https://matrix.to/#/%21lobby:here?via=here">!lobby:here</a>.`,
	} {
		var text Text
		text.Say("field.approval.room", "value", lobby)
		if got := string(text.in("", func(of id.RoomID) string { return d.RoomName(t.Context(), of, asker) }).html); got != want {
			t.Errorf("%q: %s, want %s", asker, got, want)
		}
	}
	var text Text
	text.Say("about", "target", "@a/b:here")
	if got, want := string(text.in("", func(id.RoomID) string { return "" }).html), `<a href="https://matrix.to/#/@a%2Fb:here">@a/b:here</a>:`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
