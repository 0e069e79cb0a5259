package appservice

import (
	"bytes"
	"slices"
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
	for _, name := range []string{bot.String(), "@" + bot.Localpart(), "!" + bot.Localpart(), prefix + bot.Localpart(), bot.Localpart(), display} {
		if name != "" && !slices.Contains(a.names, name) {
			a.names = append(a.names, name)
		}
	}
	return a
}

// concerns tells whether a message with this content may be a command: a text that begins with the prefix or the bot's name, or
// mentions the bot (https://spec.matrix.org/latest/client-server-api/#user-and-room-mentions). Of an edit, only the beginning of the text
// counts, behind the asterisk of its fallback.
func (a addressing) concerns(c *rawContent) bool {
	if !c.isText() {
		return false
	}
	body, edit := trim(c.body[1:len(c.body)-1]), c.isEdit()
	if edit {
		body = trim(bytes.TrimPrefix(body, []byte("*")))
	}
	if a.prefix == "!" && bytes.HasPrefix(body, []byte("！")) && a.command(body[len("！"):]) {
		return true
	}
	if end := after(body, a.prefix); a.prefix != "" && end >= 0 && a.command(body[end:]) {
		return true
	}
	for _, name := range a.names {
		if end := after(body, name); end >= 0 && ends(body[end:]) {
			return true
		}
	}
	return !edit && bytes.Contains(c.mentions, a.mention)
}

// isText reports whether the content is that of a text message, or of a file, which may have a caption.
func (c *rawContent) isText() bool {
	return (string(c.msgtype) == `"m.text"` || string(c.msgtype) == `"m.file"`) && len(c.body) >= 2 && c.body[0] == '"'
}

// isEdit reports whether the content replaces that of another event.
func (c *rawContent) isEdit() bool { return string(c.rel) == `"m.replace"` }

// trim removes white space and invisible characters at the start of the inside of a checked JSON string.
func trim(text []byte) []byte {
	for len(text) > 0 {
		r, size := decodeRune(text)
		if !unicode.IsSpace(r) && (r < 0x200B || r > 0x200F) && r != 0x2060 && r != 0xFEFF {
			break
		}
		text = text[size:]
	}
	return text
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
	text = trim(text)
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
