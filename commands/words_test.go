package commands

import (
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

func TestSplitWords(t *testing.T) {
	tests := []struct {
		in   string
		want []string // quoted ones in «»
	}{
		{"", nil},
		{"  a\tb\n c ", []string{"a", "b", "c"}},
		{`"two words" one`, []string{"«two words»", "one"}},
		{`“two words” one`, []string{"«two words»", "one"}},
		{`„zwei Worte“ eins`, []string{"«zwei Worte»", "eins"}},
		{`"a \"b\" \\c"`, []string{`«a "b" \c»`}},
		{`"never closed`, []string{`"never`, "closed"}},
		{`it's "q"x`, []string{"it's", `"q"x`}},
		{`""`, []string{"«»"}},
		{`"a"x "b c" d`, []string{`"a"x`, "«b c»", "d"}},
		{`“a “b”x “c d” “e`, []string{"“a", "“b”x", "«c d»", "“e"}},
		{`"a \"b "c"x "d"`, []string{`"a`, `\"b`, `"c"x`, "«d»"}},
	}
	for _, tt := range tests {
		var got []string
		for _, w := range splitWords(tt.in) {
			if w.quoted {
				w.text = "«" + w.text + "»"
			}
			got = append(got, w.text)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestSplitWordsInTime: the search for a closing quote is not repeated.
func TestSplitWordsInTime(t *testing.T) {
	for _, text := range []string{strings.Repeat("“a ", 13000), strings.Repeat("“a ", 13000) + "”x", strings.Repeat(`"\" `, 13000)} {
		start := spent(t)
		if n := len(splitWords(text)); n < 13000 {
			t.Errorf("%d words of %.20q", n, text)
		}
		if took := spent(t) - start; took > 2*time.Second {
			t.Errorf("%.20q took %s", text, took)
		}
	}
}

func TestUser(t *testing.T) {
	tests := []struct{ in, want string }{
		{"@bob:here", "@bob:here"},
		{"@bob:here,", "@bob:here"},
		{"@bob:here.", "@bob:here"},
		{"https://matrix.to/#/@bob:here.", "@bob:here"},
		{"@bob", "@bob:asker.org"},
		{"@bob:matrix.example:8448", "@bob:matrix.example:8448"},
		{"https://matrix.to/#/@bob:here", "@bob:here"},
		{"https://matrix.to/#/%40bob%3Ahere", "@bob:here"},
		{"matrix:u/bob:here", "@bob:here"},
		{"bob:here", ""},
		{"#bob:here", ""},
		{"@:here", ""},
		{"@b\u202eob:here", ""},
		{"@bob:bad/server", ""},
		{"@" + strings.Repeat("b", 260) + ":here", ""},
		{"https://matrix.to/#/!room:here/$event", ""},
	}
	for _, tt := range tests {
		if got := (word{text: tt.in}).read("@me:asker.org").user; string(got) != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := (word{text: "@bob:here", quoted: true}).read("@me:asker.org").user; got != "@bob:here" {
		t.Errorf("an id in quotes: got %q", got)
	}
	if got := (word{text: "ask @bob:here", quoted: true}).read("@me:asker.org").class; got != classText {
		t.Errorf("words in quotes: got %d", got)
	}
}

func TestPlace(t *testing.T) {
	tests := []struct {
		in    string
		room  id.RoomID
		alias id.RoomAlias
		via   []string
	}{
		{in: "#lobby:here", alias: "#lobby:here"},
		{in: "!abc:here", room: "!abc:here"},
		{in: "!v12roomidwithoutserver", room: "!v12roomidwithoutserver"},
		{in: "https://matrix.to/#/!abc:here?via=one&via=two", room: "!abc:here", via: []string{"one", "two"}},
		{in: "https://matrix.to/#/%23lobby:here", alias: "#lobby:here"},
		{in: "matrix:r/lobby:here", alias: "#lobby:here"},
		{in: "matrix:roomid/abc:here?via=one", room: "!abc:here", via: []string{"one"}},
		{in: "#1"}, {in: "lobby"}, {in: "@bob:here"}, {in: "#lob\u200bby:here"},
	}
	for _, tt := range tests {
		got := word{text: tt.in}.read("").place
		if got.room != tt.room || got.alias != tt.alias || !slices.Equal(got.via, tt.via) {
			t.Errorf("%q: got %+v", tt.in, got)
		}
	}
}

func TestInvocation(t *testing.T) {
	tests := []struct {
		in        string
		name      string
		args      int
		mentioned bool
		ok        bool
	}{
		{"!invite @bob:here", "invite", 1, false, true},
		{"  !Invite", "invite", 0, false, true},
		{"! invite", "invite", 0, false, true}, // only answered with a suggestion
		{"!", "", 0, false, false},
		{"hello !invite", "", 0, false, false},
		{"@usher:here: invite @bob:here", "invite", 1, true, true},
		{"@usher:here invite", "invite", 0, true, true},
		{"https://matrix.to/#/@usher:here: invite x", "invite", 1, true, true},
		{"usher: help", "help", 0, true, true},
		{"Usher, help", "help", 0, true, true},
		{"The Doorkeeper: help", "help", 0, true, true},
		{"usher is a nice bot", "", 0, false, false},
		{"@usher:elsewhere: help", "", 0, false, false},
		{"@usher:here", "", 0, true, true},
		{"@usher help", "help", 0, true, true},
		{"!usher help", "help", 0, true, true},
		{"!Usher: help", "help", 0, true, true},
		{"!ushers help", "ushers", 1, false, true},
		{"！ping", "ping", 0, false, true},
		{"\u200b!ping.", "ping", 0, false, true},
	}
	for _, tt := range tests {
		g, ok := invoked(tt.in, "!", "@usher:here", []string{"The Doorkeeper"})
		if g.name != tt.name || len(g.words) != tt.args || g.mentioned != tt.mentioned || ok != tt.ok {
			t.Errorf("%q: got %+v %v", tt.in, g, ok)
		}
	}
}

func TestParseMessageText(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"plain", `{"msgtype":"m.text","body":"!invite @bob:here"}`, "!invite @bob:here"},
		{"a pill that shows somebody else",
			`{"msgtype":"m.text","body":"!invite Bob","format":"org.matrix.custom.html","formatted_body":"!invite <a href=\"https://matrix.to/#/@eve:here\">@bob:here</a> hi"}`,
			"!invite [@bob:here](https://matrix.to/#/@eve:here) hi"},
		{"a pill with a name", `{"msgtype":"m.text","body":"!invite Bob","format":"org.matrix.custom.html","formatted_body":"!invite <a href=\"https://matrix.to/#/@eve:here\">Eve</a> hi"}`,
			"!invite https://matrix.to/#/@eve:here hi"},
		{"other links are words", `{"msgtype":"m.text","body":"x","format":"org.matrix.custom.html","formatted_body":"!invite <a href=\"https://example.org\">@bob:here</a>"}`,
			"!invite @bob:here"},
		{"the quote of a reply is not part of it", `{"msgtype":"m.text","body":"> <@a:b> !invite @c:d\n\n!help","m.relates_to":{"m.in_reply_to":{"event_id":"$1"}}}`, "!help"},
		{"nor in HTML", `{"msgtype":"m.text","body":"x","format":"org.matrix.custom.html","formatted_body":"<mx-reply><blockquote>!invite @c:d</blockquote></mx-reply>!help"}`, "!help"},
		{"entities", `{"msgtype":"m.text","body":"x","format":"org.matrix.custom.html","formatted_body":"!invite @bob:here a &lt;b&gt; &amp; c"}`, "!invite @bob:here a <b> & c"},
		{"unknown format", `{"msgtype":"m.text","body":"!help","format":"else","formatted_body":"!ping"}`, "!help"},
		{"folded keys are other keys", `{"msgtype":"m.text","body":"!help","Body":"!ping","BODY":"!ping"}`, "!help"},
	}
	for _, tt := range tests {
		m, err := parseMessage("$e", "!r", "@a:b", []byte(`{"content":`+tt.content+`}`))
		if err != nil || m.Text != tt.want {
			t.Errorf("%s: got %q %v, want %q", tt.name, m.Text, err, tt.want)
		}
	}
	for _, content := range []string{`null`, `[]`, `{"msgtype":1}`, `{}`, `"x"`} {
		if _, err := parseMessage("$e", "!r", "@a:b", []byte(`{"content":`+content+`}`)); err == nil {
			t.Errorf("%s: no error", content)
		}
	}
}

func TestVisible(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain ä 日本", "plain ä 日本"},
		{"a\u202eb", "a[U+202E]b"},
		{"a\nb", "a[U+000A]b"},
		{"zero\u200bwidth", "zero[U+200B]width"},
		{"\x00", "[U+0000]"},
		{"hey @room", "hey @\u2060room"},
		{strings.Repeat("x", 2000), strings.Repeat("x", 1000) + "…"},
	}
	for _, tt := range tests {
		if got := visible(tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
	var text Text
	text.Say("text", "text", `<b>&`).Code(`<i>`)
	if got := string(text.in("", nil).html); got != "&lt;b&gt;&amp;<code>&lt;i&gt;</code>" {
		t.Errorf("HTML %s", got)
	}
}
