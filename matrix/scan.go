package matrix

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// This file reads JSON (RFC 8259) where it lies, without copies and without recursion: a transaction is checked and taken
// apart in one pass, and neither depth nor a wrong byte in one event reaches the next.

// maxDepth is how deep an event may be nested. Nobody writes a tenth of it; whoever reads the event later may recurse.
const maxDepth = 512

// bad is what the readers below return instead of the index after what they read.
const bad = -1

// validJSON tells whether b is one JSON value, not too deep, in valid UTF-8.
func validJSON(b []byte) bool {
	i := skipValue(b, 0)
	return i != bad && skipSpace(b, i) == len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the index after the JSON value at b[i], or bad.
func skipValue(b []byte, i int) int {
	i = skipSpace(b, i)
	if i < len(b) && (b[i] == '{' || b[i] == '[') {
		return skipContainer(b, i)
	}
	return skipScalar(b, i)
}

// skipContainer returns the index after the object or array at b[i], or bad.
func skipContainer(b []byte, i int) int {
	var arrays [maxDepth / 64]uint64 // one bit a level: it is an array
	depth := 0
	for {
		// Here b[i] begins a value.
		opened := false
		if i < len(b) && (b[i] == '{' || b[i] == '[') {
			if depth == maxDepth {
				return bad
			}
			bit := uint64(1) << (depth % 64)
			arrays[depth/64] &^= bit
			if b[i] == '[' {
				arrays[depth/64] |= bit
			}
			depth++
			opened = true
			i++
		} else if i = skipScalar(b, i); i == bad {
			return bad
		}
		// Here a value or an opening bracket is behind us: close what ends, find the next value.
		for {
			array := arrays[(depth-1)/64]&(1<<((depth-1)%64)) != 0
			i = skipSpace(b, i)
			if i >= len(b) {
				return bad
			}
			if (array && b[i] == ']') || (!array && b[i] == '}') {
				i++
				if depth--; depth == 0 {
					return i
				}
				opened = false
				continue
			}
			if !opened {
				if b[i] != ',' {
					return bad
				}
				i = skipSpace(b, i+1)
			}
			if !array {
				if _, i = skipKey(b, i); i == bad {
					return bad
				}
			}
			break
		}
	}
}

// skipKey returns the index after the object key at b[i], and that of the value that follows, or bad.
func skipKey(b []byte, i int) (end, value int) {
	if i >= len(b) || b[i] != '"' {
		return bad, bad
	}
	if end = skipString(b, i); end == bad {
		return bad, bad
	}
	if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
		return bad, bad
	}
	return end, skipSpace(b, i+1)
}

// skipScalar returns the index after the string, number or literal at b[i], or bad.
func skipScalar(b []byte, i int) int {
	if i >= len(b) {
		return bad
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	}
	return skipNumber(b, i)
}

func skipLiteral(b []byte, i int, literal string) int {
	if end := i + len(literal); end <= len(b) && string(b[i:end]) == literal {
		return end
	}
	return bad
}

func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i == bad {
		return bad
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i == bad {
			return bad
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i)
	}
	return i
}

// skipDigits wants at least one.
func skipDigits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return bad
	}
	return i
}

// skipString returns the index after the string whose opening quote is b[i], or bad.
func skipString(b []byte, i int) int {
	i++
	for {
		for i+8 <= len(b) {
			word := binary.LittleEndian.Uint64(b[i:])
			if m := special(word); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return bad
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = skipEscape(b, i); i == bad {
				return bad
			}
		case c < ' ':
			return bad
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return bad
			}
			i += size
		}
	}
}

// special marks, by their high bits, the bytes of a word that a string can't take as they are: quotes, backslashes,
// control characters, and everything beyond ASCII. The lowest mark is right, higher ones may be wrong.
func special(word uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := word ^ ones*'"'
	slash := word ^ ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (word-ones*' ')&^word | word) & highs
}

func skipEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return bad
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if _, ok := hex4(b, i+2); ok {
			return i + 6
		}
	}
	return bad
}

// hex4 reads the four hexadecimal digits at b[i].
func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
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

// skipBalanced returns the index after the value at b[i], judged by quotes and brackets alone, or bad where even
// those don't match. It finds the end of what skipValue rejects.
func skipBalanced(b []byte, i int) int {
	depth := 0
	for i = skipSpace(b, i); i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return bad
}

// walkObject calls member with each key, unquoted, of the object at b[i] and the index of its value; member returns the
// index after the value, or bad, which ends the walk. It returns the index after the object, or bad.
func walkObject(b []byte, i int, member func(key []byte, i int) int) int {
	if i >= len(b) || b[i] != '{' {
		return bad
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		end, value := skipKey(b, i)
		if end == bad {
			return bad
		}
		key := b[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			s, _ := unquote(b[i:end])
			key = []byte(s)
		}
		if i = member(key, value); i == bad {
			return bad
		}
		i = skipSpace(b, i)
		if i >= len(b) {
			return bad
		}
		switch b[i] {
		case '}':
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return bad
		}
	}
}

// unquote decodes a JSON string that has been checked. ok is false where it is no string, or holds NUL or half a
// surrogate pair: no identifier does, and databases differ in what they make of them.
func unquote(quoted []byte) (string, bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", false
	}
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), true
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err == nil && !strings.ContainsAny(s, "\x00\ufffd")
}
