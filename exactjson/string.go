package exactjson

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote decodes a JSON string accepted by a scan. ok is false for any other value, for a string with NUL and for one with an
// escaped half of a surrogate pair: no Matrix identifier has either, and databases disagree on how to store them.
func Unquote(quoted []byte) (s string, ok bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", false
	}
	plain := string(quoted[1 : len(quoted)-1])
	s = decode(plain)
	return s, len(s) == len(plain) || !strings.ContainsAny(s, "\x00\ufffd") // every escape is longer than its character
}

// decode replaces the escapes in the inside of a JSON string. Half of a surrogate pair becomes U+FFFD.
func decode(s string) string {
	plain := strings.IndexByte(s, '\\')
	if plain < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:plain]...)
	for i := plain; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		r, size := Escape(s[i:])
		out = utf8.AppendRune(out, r)
		i += size
	}
	return string(out)
}

// Escape decodes the escape, or the two escapes of a surrogate pair, at the start of s, which a scan has accepted. It returns the
// character, U+FFFD for half of a pair, and the number of bytes read.
func Escape[T string | []byte](s T) (r rune, size int) {
	if s[1] != 'u' {
		return rune(unescape(s[1])), 2
	}
	r, _ = hex4(s, 2)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		low, _ := hex4(s, 8)
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

func unescape(c byte) byte {
	if i := strings.IndexByte("bfnrt", c); i >= 0 {
		return "\b\f\n\r\t"[i]
	}
	return c
}

// hex4 reads the four hexadecimal digits at s[i].
func hex4[T string | []byte](s T, i int) (r rune, ok bool) {
	if i+4 > len(s) {
		return 0, false
	}
	for end := i + 4; i < end; i++ {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// wholePairs reports whether each escaped surrogate in the inside of a JSON string belongs to a pair.
func wholePairs(s string) bool {
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return true
		}
		_, size := Escape(s[i:])
		if unit, _ := hex4(s, i+2); s[i+1] == 'u' && size == 6 && utf16.IsSurrogate(unit) {
			return false
		}
		s = s[i+size:]
	}
}

// AppendQuoted appends a JSON string with the escapes of canonical JSON, and no others
// (https://spec.matrix.org/latest/appendices/#canonical-json).
func AppendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b', '\f', '\n', '\r', '\t':
			out = append(out, '\\', "btn?fr"[c-'\b'])
		default:
			if c < 0x20 {
				out = append(out, '\\', 'u', '0', '0', '0'+c>>4)
				c = strconv.FormatUint(uint64(c&15), 16)[0]
			}
			out = append(out, c)
		}
	}
	return append(out, '"')
}
