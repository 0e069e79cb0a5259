package commands

import (
	"strings"
	"time"
	"unicode"

	"maunium.net/go/mautrix/id"
)

// word is one word of a command. A quoted one is always text, never a flag or an identifier.
type word struct {
	text   string
	quoted bool
}

// class is the kind of a word.
type class int

// The classes.
const (
	classText   class = iota
	classPerson       // looks like a user, though its id may be invalid
	classRoom         // an id or an alias of a room
	classFlag         // begins with two dashes
	classNumber       // a number of a card, or a range of these
	classSpan         // a length of time, a date or a time
)

// class tells the kind of a word. No other function decides it.
func (w word) class() class {
	if w.quoted {
		return classText
	}
	if w.flag() != "" {
		return classFlag
	}
	if sigil, _, _ := w.identifier(); sigil == '@' {
		return classPerson
	}
	if _, ok := w.place(); ok {
		return classRoom
	}
	if _, _, ok := fromTo(w.text); ok {
		return classNumber
	}
	if _, ok := Since(w.text, time.Time{}); ok {
		return classSpan
	}
	return classText
}

// splitWords splits at white space. Double quotes, straight or typographic, hold words together; a backslash keeps the
// character after it inside quotes. An unclosed quote is an ordinary character.
func splitWords(s string) []word {
	var words []word
	vain := map[string]int{} // by closing quote: the length of the text behind an opening quote without it
	for {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			return words
		}
		opening, closing := quoteOf(s)
		if after, was := vain[closing]; closing != "" && (!was || len(s) <= after) { // else it would meet the same one again
			text, rest, ok := quotedWord(s[len(opening):], closing)
			if ok {
				words = append(words, word{text, true})
				s = rest
				continue
			}
			vain[closing] = len(rest)
		}
		end := strings.IndexFunc(s, unicode.IsSpace)
		if end < 0 {
			end = len(s)
		}
		words = append(words, word{s[:end], false})
		s = s[end:]
	}
}

// quoteOf returns the quote at the start of a text, and its closing quote.
func quoteOf(s string) (opening, closing string) {
	for _, pair := range [...][2]string{{`"`, `"`}, {"“", "”"}, {"„", "“"}} {
		if strings.HasPrefix(s, pair[0]) {
			return pair[0], pair[1]
		}
	}
	return "", ""
}

// quotedWord reads a word up to its closing quote, and returns the text behind it. ok is false if no word ends there.
func quotedWord(s, closing string) (text, rest string, ok bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], closing) {
			rest = s[i+len(closing):]
			first := strings.TrimLeftFunc(rest, unicode.IsSpace)
			return out.String(), rest, rest == "" || len(first) < len(rest)
		}
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return "", "", false
}

// identifier reads a word as a Matrix identifier or a link to one, with its sigil and the servers in the
// link. A comma or a stop after it belongs to the sentence.
func (w word) identifier() (sigil byte, full string, via []string) {
	if w.quoted {
		return 0, "", nil
	}
	text := strings.TrimRight(w.text, ",;:.")
	if link, err := id.ParseMatrixURIOrMatrixToURL(text); err == nil {
		if link.MXID2 != "" {
			return 0, "", nil
		}
		return byte(link.Sigil1), link.PrimaryIdentifier(), link.Via
	}
	if len(text) > 1 && strings.IndexByte("@#!", text[0]) >= 0 {
		return text[0], text, nil
	}
	return 0, "", nil
}

// user reads a word as a user. A name without a server is one on the asker's own.
func (w word) user(asker id.UserID) (id.UserID, bool) {
	sigil, full, _ := w.identifier()
	if sigil != '@' {
		return "", false
	}
	if !strings.Contains(full, ":") {
		full += ":" + asker.Homeserver()
	}
	user := id.UserID(full)
	if localpart, _, err := user.ParseAndValidateRelaxed(); err != nil || localpart == "" || !plainID(full) {
		return "", false
	}
	return user, true
}

// plainID refuses identifiers with white space or invisible characters, which deceive readers.
func plainID(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || hidden(r) })
}

// place is a room as typed: an id, or an alias to be resolved.
type place struct {
	room  id.RoomID
	alias id.RoomAlias
	via   []string
}

// place reads a word as a room.
func (w word) place() (place, bool) {
	sigil, full, via := w.identifier()
	switch {
	case !plainID(full) || len(full) > 255:
		return place{}, false
	case sigil == '!':
		return place{room: id.RoomID(full), via: via}, true
	case sigil == '#' && strings.Contains(full, ":"):
		return place{alias: id.RoomAlias(full), via: via}, true
	}
	return place{}, false
}

// takeFlags splits words into flags and the others.
func takeFlags(words []word) (flags, others []word) {
	for _, w := range words {
		if w.flag() != "" {
			flags = append(flags, w)
		} else {
			others = append(others, w)
		}
	}
	return flags, others
}

// flag is the name of a flag, empty if the word is none. Keyboards make a dash of two hyphens: "—dry-run" must not become the reason
// of a real invitation.
func (w word) flag() string {
	for _, dash := range [...]string{"--", "—", "–"} {
		if name, is := strings.CutPrefix(w.text, dash); is && !w.quoted {
			return name
		}
	}
	return ""
}

// invocation splits a text into the command's name and its arguments. ok is false where the bot is not addressed: the text
// begins neither with the prefix nor with the bot's name.
func invocation(text, prefix string, bot id.UserID, names []string) (name string, args []word, mentioned, ok bool) {
	text = strings.TrimSpace(text)
	rest, found := strings.CutPrefix(text, prefix)
	if !found {
		rest, found = afterMention(text, bot, names)
		mentioned = true
	}
	if !found || rest == "" {
		return "", nil, mentioned, found && mentioned
	}
	words := splitWords(rest)
	if len(words) == 0 || (!mentioned && unicode.IsSpace([]rune(rest)[0])) {
		return "", nil, mentioned, mentioned
	}
	return strings.ToLower(words[0].text), words[1:], mentioned, true
}

// afterMention returns the text behind the bot's name at the start: its user id or a link to it, or one of its names
// with a colon or a comma and a space.
func afterMention(text string, bot id.UserID, names []string) (string, bool) {
	words := splitWords(text)
	if len(words) == 0 {
		return "", false
	}
	if sigil, full, _ := words[0].identifier(); sigil == '@' && id.UserID(full) == bot {
		rest := strings.TrimPrefix(text, words[0].text)
		return strings.TrimLeft(rest, " \t\n:,"), true
	}
	for _, name := range append([]string{"@" + bot.Localpart(), bot.Localpart()}, names...) {
		if name == "" || len(text) <= len(name) || !strings.EqualFold(text[:len(name)], name) {
			continue
		}
		rest := text[len(name):]
		if (rest[0] == ':' || rest[0] == ',') && (len(rest) == 1 || unicode.IsSpace(rune(rest[1]))) {
			return strings.TrimLeft(rest, " \t\n:,"), true
		}
	}
	return "", false
}
