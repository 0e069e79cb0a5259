package room

import (
	"strings"
	"unicode"
)

// Invisible reports whether a character shows nothing or changes how others are read: controls, bidirectional marks, zero-width and other format
// characters, line and paragraph separators, private ones, and fillers. The selectors of a variant, which emoji have, are not among them.
func Invisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Other_Default_Ignorable_Code_Point) ||
		r == unicode.ReplacementChar || r == 0x2800
}

// OneLine returns a text on one line, without invisible characters but the joiner of emoji.
func OneLine(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case Invisible(r) && r != 0x200D:
			return -1
		}
		return r
	}, text)), " ")
}
