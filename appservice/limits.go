package appservice

import "strings"

// maxID is the length of an identifier in bytes (https://spec.matrix.org/latest/appendices/#common-identifier-format).
const maxID = 255

// shorten cuts a text from outside to at most n bytes, at a rune.
func shorten(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
