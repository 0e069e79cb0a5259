package exactjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Bad is the index returned by the functions below for malformed text.
const Bad = -1

// Valid reports whether b is exactly one JSON value in valid UTF-8.
func Valid(b []byte) bool {
	i := SkipValue(b, 0)
	return i != Bad && SkipSpace(b, i) == len(b)
}

// SkipSpace returns the index of the first byte from b[i] on other than white space.
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
	var room [8]uint64 // enough for 512 levels without an allocation
	arrays := room[:]  // one bit a level: set for an array
	depth := 0
	for {
		// Here b[i] begins a value.
		opened := false
		if i < len(b) && (b[i] == '{' || b[i] == '[') {
			if depth == 64*len(arrays) {
				arrays = append(arrays, 0)
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
		// Here a value or an opening bracket is behind b[i]: skip closing brackets, then find the next value.
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

// SkipKey returns the index after the object key at b[i], and the index of the value after it, or Bad.
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

// skipDigits skips one digit or more.
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

// SkipString returns the index after the string with the opening quote b[i], or Bad.
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

// special sets the high bit of each byte of a word in need of a closer look in a string: a quote, a backslash, a control character
// or a byte beyond ASCII. The lowest bit set is right, higher bits may be wrong.
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
		if _, ok := hex4(b, i+2); ok {
			return i + 6
		}
	}
	return Bad
}

// SkipBalanced returns the index after the value at b[i] by counting quotes and brackets, or Bad where they don't match. It finds the
// end of a value rejected by SkipValue.
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

// Walk calls member for each member of the object at b[i], with the decoded key and the index of the value. member returns the index
// after the value, or Bad to end the walk. Walk returns the index after the object, or Bad.
func Walk(b []byte, i int, member func(key []byte, i int) int) int {
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
			key = []byte(decode(string(key)))
		}
		if i = member(key, value); i == Bad {
			return Bad
		}
		var closed bool
		if i, closed = next(b, i, '}'); i == Bad || closed {
			return i
		}
	}
}

// WalkArray calls item for each item of the array at b[i], with the index of the item. item returns the index after it, or Bad.
func WalkArray(b []byte, i int, item func(i int) int) int {
	if i >= len(b) || b[i] != '[' {
		return Bad
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		var closed bool
		if i = item(i); i == Bad {
			return Bad
		}
		if i, closed = next(b, i, ']'); i == Bad || closed {
			return i
		}
	}
}

// next reads the comma before the next item, or the closing bracket of the object or array, and returns the index after either.
func next(b []byte, i int, bracket byte) (after int, closed bool) {
	i = SkipSpace(b, i)
	switch {
	case i >= len(b):
		return Bad, false
	case b[i] == bracket:
		return i + 1, true
	case b[i] == ',':
		return SkipSpace(b, i+1), false
	}
	return Bad, false
}
