package appservice

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"usher/exactjson"

	"maunium.net/go/mautrix/id"
)

// addressing recognizes messages that may be commands, from their raw bytes. In doubt a message is one: whoever handles
// it decides again.
type addressing struct {
	prefix  string
	names   []string // that a message may begin with to address the bot
	mention []byte   // the bot's id as it stands in m.mentions
	known   func(string) bool
}

func newAddressing(prefix string, bot id.UserID, display string, known func(string) bool) addressing {
	a := addressing{prefix: prefix, mention: []byte(`"` + bot + `"`), known: known}
	for _, name := range []string{bot.String(), "@" + bot.Localpart(), bot.Localpart(), display} {
		if name != "" {
			a.names = append(a.names, name)
		}
	}
	return a
}

// concerns tells whether a message with this content may be a command: a text, not an edit, that begins with the prefix or
// the bot's name, or mentions the bot (https://spec.matrix.org/latest/client-server-api/#user-and-room-mentions).
func (a addressing) concerns(c *rawContent) bool {
	if string(c.msgtype) != `"m.text"` || len(c.body) < 2 || c.body[0] != '"' || string(c.rel) == `"m.replace"` {
		return false
	}
	body := c.body[1 : len(c.body)-1]
	for len(body) > 0 {
		r, size := decodeRune(body)
		if !unicode.IsSpace(r) {
			break
		}
		body = body[size:]
	}
	if end := after(body, a.prefix); a.prefix != "" && end >= 0 && a.command(body[end:]) {
		return true
	}
	for _, name := range a.names {
		if end := after(body, name); end >= 0 && ends(body[end:]) {
			return true
		}
	}
	return bytes.Contains(c.mentions, a.mention)
}

// longestWord bounds the words that may name a command, in characters.
const longestWord = 32

// command tells whether a text that followed the prefix begins with a command's name: other bots share the prefix, and
// their commands are not worth a write. A quoted word is in doubt.
func (a addressing) command(text []byte) bool {
	if a.known == nil {
		return true
	}
	var word []rune
	for len(text) > 0 && len(word) <= longestWord {
		r, size := decodeRune(text)
		if unicode.IsSpace(r) {
			break
		}
		if len(word) == 0 && (r == '"' || r == '“' || r == '„') {
			return true
		}
		word, text = append(word, r), text[size:]
	}
	return a.known(string(word))
}

// after returns the index after want, which the checked JSON string text begins with in upper or lower case, else -1.
func after(text []byte, want string) int {
	i := 0
	for _, w := range want {
		if i >= len(text) {
			return -1
		}
		r, size := decodeRune(text[i:])
		if r != w && unicode.ToLower(r) != unicode.ToLower(w) {
			return -1
		}
		i += size
	}
	return i
}

// ends tells whether a name ends before this text.
func ends(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	r, _ := decodeRune(text)
	return r == ':' || r == ',' || unicode.IsSpace(r)
}

// decodeRune reads the first character of the inside of a checked JSON string, and the number of bytes that it takes there. An escaped
// control character counts as a space.
func decodeRune(text []byte) (r rune, size int) {
	if text[0] != '\\' {
		return utf8.DecodeRune(text)
	}
	if r, size = exactjson.Escape(text); size == 2 && r < ' ' {
		r = ' '
	}
	return r, size
}
