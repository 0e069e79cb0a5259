package words

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"usher/room"
)

// obeyed reports whether a terminal obeys a character or doesn't show it.
func obeyed(r rune) bool { return r != '\n' && room.Invisible(r) }

// Visible returns text fit for a terminal: it writes each character which a terminal obeys or hides, and each byte of invalid
// UTF-8, as an escape such as \u001b or \x9b. Line feeds stay.
func Visible(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, obeyed) {
		return text
	}
	var out strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[i])
		case obeyed(r) && r > 0xFFFF:
			high, low := r-0x10000, (r-0x10000)&0x3FF
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xD800+high>>10, 0xDC00+low)
		case obeyed(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Terminal returns a writer that writes text to out as Visible shows it. Each Write must end between two characters, as those of a
// json.Encoder do.
func Terminal(out io.Writer) io.Writer { return terminal{out} }

type terminal struct{ io.Writer }

// Write implements io.Writer.
func (t terminal) Write(text []byte) (int, error) {
	if _, err := io.WriteString(t.Writer, Visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
