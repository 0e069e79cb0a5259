// Package exactjson reads JSON with exact keys: "ſender" is not "sender", "CONTENT" is not "content", and the first of two equal keys
// counts. encoding/json folds the case of keys, so nothing that comes from a homeserver is read with it.
package exactjson

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

// MaxDepth is how deep an event may be nested. Nobody writes a tenth of it; whoever reads the event later may recurse.
const MaxDepth = 512

// Bad is what the readers below return instead of the index after what they read.
const Bad = -1

// Valid tells whether b is one JSON value, not too deep, in valid UTF-8.
func Valid(b []byte) bool {
	i := SkipValue(b, 0)
	return i != Bad && SkipSpace(b, i) == len(b)
}

// SkipSpace returns the index of the first byte from b[i] on that is not white space.
func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// SkipValue returns the index after the JSON value at b[i], or Bad.
func SkipValue(b []byte, i int) int {
	i = SkipSpace(b, i)
	if i < len(b) && (b[i] == '{' || b[i] == '[') {
		return SkipContainer(b, i)
	}
	return SkipScalar(b, i)
}

// SkipContainer returns the index after the object or array at b[i], or Bad.
func SkipContainer(b []byte, i int) int {
	var arrays [MaxDepth / 64]uint64 // one bit a level: it is an array
	depth := 0
	for {
		// Here b[i] begins a value.
		opened := false
		if i < len(b) && (b[i] == '{' || b[i] == '[') {
			if depth == MaxDepth {
				return Bad
			}
			bit := uint64(1) << (depth % 64)
			arrays[depth/64] &^= bit
			if b[i] == '[' {
				arrays[depth/64] |= bit
			}
			depth++
			opened = true
			i++
		} else if i = SkipScalar(b, i); i == Bad {
			return Bad
		}
		// Here a value or an opening bracket is behind us: close what ends, find the next value.
		for {
			array := arrays[(depth-1)/64]&(1<<((depth-1)%64)) != 0
			i = SkipSpace(b, i)
			if i >= len(b) {
				return Bad
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
					return Bad
				}
				i = SkipSpace(b, i+1)
			}
			if !array {
				if _, i = SkipKey(b, i); i == Bad {
					return Bad
				}
			}
			break
		}
	}
}

// SkipKey returns the index after the object key at b[i], and that of the value that follows, or Bad.
func SkipKey(b []byte, i int) (end, value int) {
	if i >= len(b) || b[i] != '"' {
		return Bad, Bad
	}
	if end = SkipString(b, i); end == Bad {
		return Bad, Bad
	}
	if i = SkipSpace(b, end); i >= len(b) || b[i] != ':' {
		return Bad, Bad
	}
	return end, SkipSpace(b, i+1)
}

// SkipScalar returns the index after the string, number or literal at b[i], or Bad.
func SkipScalar(b []byte, i int) int {
	if i >= len(b) {
		return Bad
	}
	switch b[i] {
	case '"':
		return SkipString(b, i)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	}
	return SkipNumber(b, i)
}

func skipLiteral(b []byte, i int, literal string) int {
	if end := i + len(literal); end <= len(b) && string(b[i:end]) == literal {
		return end
	}
	return Bad
}

// SkipNumber returns the index after the number at b[i], or Bad.
func SkipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i == Bad {
		return Bad
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i == Bad {
			return Bad
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
		return Bad
	}
	return i
}

// SkipString returns the index after the string whose opening quote is b[i], or Bad.
func SkipString(b []byte, i int) int {
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
			return Bad
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = skipEscape(b, i); i == Bad {
				return Bad
			}
		case c < ' ':
			return Bad
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return Bad
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
		return Bad
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if _, ok := Hex4(b, i+2); ok {
			return i + 6
		}
	}
	return Bad
}

// Hex4 reads the four hexadecimal digits at b[i].
func Hex4(b []byte, i int) (r rune, ok bool) {
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

// SkipBalanced returns the index after the value at b[i], judged by quotes and brackets alone, or Bad where even
// those don't match. It finds the end of what SkipValue rejects.
func SkipBalanced(b []byte, i int) int {
	depth := 0
	for i = SkipSpace(b, i); i < len(b); i++ {
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
	return Bad
}

// WalkObject calls member with each key, unquoted, of the object at b[i] and the index of its value; member returns the
// index after the value, or Bad, which ends the walk. It returns the index after the object, or Bad.
func WalkObject(b []byte, i int, member func(key []byte, i int) int) int {
	if i >= len(b) || b[i] != '{' {
		return Bad
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		end, value := SkipKey(b, i)
		if end == Bad {
			return Bad
		}
		key := b[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			s, _ := Unquote(b[i:end])
			key = []byte(s)
		}
		if i = member(key, value); i == Bad {
			return Bad
		}
		i = SkipSpace(b, i)
		if i >= len(b) {
			return Bad
		}
		switch b[i] {
		case '}':
			return i + 1
		case ',':
			i = SkipSpace(b, i+1)
		default:
			return Bad
		}
	}
}

// Unquote decodes a JSON string that has been checked. ok is false where it is no string, or holds NUL or half a
// surrogate pair: no identifier does, and databases differ in what they make of them.
func Unquote(quoted []byte) (string, bool) {
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
