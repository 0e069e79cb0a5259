package commands

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is one word of a command.
type word struct {
	text   string // without the quotes around it
	raw    string // as typed
	quoted bool
	comma  bool   // a comma or a semicolon stands behind it
	shows  string // the text of a link, where it is an identifier too
	name   bool   // it stands where a person is expected, and is no identifier
	reply  bool   // it stands for the author of the message replied to
}

// quotes are the pairs of quotes around words.
var quotes = [...][2]string{
	{`"`, `"`}, {"“", "”"}, {"„", "“"}, {"„", "”"}, {"„", `"`}, {"”", "”"}, {"«", "»"}, {"»", "«"}, {"‹", "›"}, {"›", "‹"}, {"‘", "’"}, {"‚", "‘"}, {"‚", "’"},
	{"'", "'"}, {"「", "」"}, {"『", "』"}, {"《", "》"}, {"＂", "＂"},
}

// splitWords splits at white space. Quotes hold words together; a backslash keeps the character after it inside quotes. An unclosed quote is
// an ordinary character. A Markdown link to a Matrix identifier is one word: its address.
func splitWords(s string) []word {
	var words []word
	vain := map[string]int{} // by closing quote: the length of the text behind an opening quote without it
	for {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			return words
		}
		if w, rest, ok := markdownLink(s); ok {
			words, s = append(words, w), rest
			continue
		}
		if w, rest, ok := quotedAt(s, vain); ok {
			words, s = append(words, w), rest
			continue
		}
		end := strings.IndexFunc(s, unicode.IsSpace)
		if end < 0 {
			end = len(s)
		}
		for _, part := range apart(s[:end]) {
			words = append(words, word{text: part, raw: part, comma: endsInComma(part)})
		}
		s = s[end:]
	}
}

// quotedAt reads the quoted word at the start of a text.
func quotedAt(s string, vain map[string]int) (w word, rest string, ok bool) {
	for _, pair := range quotes {
		inner, opens := strings.CutPrefix(s, pair[0])
		if after, was := vain[pair[1]]; !opens || was && len(s) > after {
			continue // the search would meet the same closing quote again
		}
		text, rest, closed := quotedWord(inner, pair[1])
		if !closed {
			vain[pair[1]] = len(rest)
			continue
		}
		behind := strings.TrimLeft(rest, ",;:.!?，、；")
		raw := strings.TrimSpace(s[:len(s)-len(behind)])
		return word{text: text, raw: raw, quoted: true, comma: endsInComma(raw)}, behind, true
	}
	return w, s, false
}

// quotedWord reads a word up to its closing quote, and returns the text behind it. ok is false if no word ends there.
func quotedWord(s, closing string) (text, rest string, ok bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], closing) {
			rest = s[i+len(closing):]
			behind := strings.TrimLeft(rest, ",;:.!?，、；")
			first := strings.TrimLeftFunc(behind, unicode.IsSpace)
			return out.String(), rest, behind == "" || len(first) < len(behind)
		}
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return "", "", false
}

// maxLabel bounds the text of a Markdown link, in bytes.
const maxLabel = 300

// markdownLink reads [label](address) at the start of a text, where the address is a Matrix link.
func markdownLink(s string) (w word, rest string, ok bool) {
	if s[0] != '[' {
		return w, s, false
	}
	label, rest, found := strings.Cut(s[1:min(len(s), 4096)], "](")
	if !found || len(label) > maxLabel {
		return w, s, false
	}
	end := strings.IndexFunc(rest, unicode.IsSpace)
	if end < 0 {
		end = len(rest)
	}
	closing := strings.LastIndexByte(rest[:end], ')')
	if closing < 0 {
		return w, s, false
	}
	address := strings.Trim(rest[:closing], "<>")
	if _, isLink := readLink(address); !isLink {
		return w, s, false
	}
	size := 1 + len(label) + len("](") + closing + 1
	behind := strings.TrimLeft(s[size:], ",;:.!?，、；)")
	raw := s[:len(s)-len(behind)]
	return word{text: address, raw: raw, comma: endsInComma(raw), shows: misleading(label, address)}, behind, true
}

// misleading returns the text of a link if the text is another identifier than the link's own.
func misleading(label, address string) string {
	shown := word{text: label}.read("")
	if shown.class == classText || shown.bare {
		return ""
	}
	meant := word{text: address}.read("")
	if shown.class == meant.class && shown.user == meant.user && shown.place.room == meant.place.room && shown.place.alias == meant.place.alias {
		return ""
	}
	if without, _, _ := strings.Cut(string(meant.user), ":"); shown.class == classPerson && peel(label) == without {
		return "" // a name without its server
	}
	return label
}

func endsInComma(s string) bool {
	last, _ := utf8.DecodeLastRuneInString(s)
	return strings.ContainsRune(",;，、；", last)
}

// apart splits text written without spaces: identifiers and numbers with a comma or another sign between them.
func apart(s string) (parts []string) {
	isLink, numbers := strings.Contains(s, "/#/") || strings.HasPrefix(s, "matrix:"), isNumbers(s)
	start := 0
	for i, r := range s {
		size := utf8.RuneLen(r)
		if i == 0 || i+size >= len(s) || !strings.ContainsRune(",;，、；&+|/", r) {
			continue
		}
		next := strings.TrimLeft(s[i+size:], "(<[")
		switch {
		case strings.ContainsRune("&+|/", r) && (isLink || s[0] != '@' || !strings.HasPrefix(next, "@")):
			continue
		case strings.HasPrefix(next, "https://"), strings.HasPrefix(next, "matrix:"):
		case next == "" || strings.IndexByte("@#!", next[0]) < 0 && !numbers && !strings.HasPrefix(next, "＠"):
			continue
		}
		end := i + size
		if strings.ContainsRune("&+|/", r) {
			end = i
		}
		parts = append(parts, s[start:end])
		start = i + size
	}
	return append(parts, s[start:])
}

// isNumbers reports whether a word lists numbers of cards, such as 1,2 or #1;#3-5.
func isNumbers(s string) bool {
	return s != "" && strings.Trim(s, "0123456789#-,;") == "" && s[0] != '-'
}

// wrappers are the brackets, quotes and signs in which people put an identifier.
var wrappers = append([][2]string{
	{"(", ")"}, {"[", "]"}, {"{", "}"}, {"<", ">"}, {"`", "`"}, {"**", "**"}, {"*", "*"}, {"__", "__"}, {"（", "）"}, {"【", "】"}, {"［", "］"},
	{"〈", "〉"}, {"〔", "〕"}, {"＜", "＞"}, {"｢", "｣"},
}, quotes[:]...)

// maxPeels bounds the layers around an identifier.
const maxPeels = 8

// peel removes the signs around an identifier: brackets, quotes, list marks, the punctuation of a sentence, invisible
// characters added by programs when they copy.
func peel(s string) string {
	for range maxPeels {
		before := s
		s = strings.TrimFunc(s, added)
		s = strings.TrimRight(s, ",;.!?…，、；。！？：")
		if name, is := strings.CutSuffix(s, ":"); is && !strings.HasSuffix(name, ":") {
			s = name
		}
		for _, pair := range wrappers {
			inner, opens := strings.CutPrefix(s, pair[0])
			switch {
			case opens && strings.HasSuffix(inner, pair[1]):
				s = strings.TrimSuffix(inner, pair[1])
			case opens && startsAsIdentifier(inner):
				s = inner
			case !opens && strings.HasSuffix(s, pair[1]) && !strings.Contains(s, pair[0]) && pair[1] != "»" && startsAsIdentifier(s):
				s = strings.TrimSuffix(s, pair[1])
			}
		}
		if unmarked := strings.TrimLeft(s, "-*•·+&,;:–—"); unmarked != s && startsAsIdentifier(unmarked) {
			s = unmarked
		}
		if digits := strings.TrimLeft(s, "0123456789"); digits != s && len(digits) > 1 && (digits[0] == '.' || digits[0] == ')') && startsAsIdentifier(digits[1:]) {
			s = digits[1:]
		}
		if s == before {
			break
		}
	}
	return narrow(s)
}

func startsAsIdentifier(s string) bool {
	if s == "" {
		return false
	}
	return strings.IndexByte("@#!", s[0]) >= 0 && len(s) > 1 || strings.ContainsRune("(<[`", rune(s[0])) && startsAsIdentifier(s[1:]) ||
		strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "matrix:") || strings.HasPrefix(s, "＠")
}

// added reports whether programs add a character around a name when they copy it.
func added(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x200B && r <= 0x200F || r == 0x2060 || r >= 0x2066 && r <= 0x2069 || r == 0xFEFF || r == 0xFE0F
}

// narrow writes an identifier from a keyboard with wide characters in ordinary ones.
func narrow(s string) string {
	if !strings.HasPrefix(s, "＠") && !strings.HasPrefix(s, "＃") && !strings.ContainsRune(s, '：') {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= 0xFF01 && r <= 0xFF5E {
			return r - 0xFEE0
		}
		return r
	}, s)
}
