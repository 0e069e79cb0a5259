package room

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str consumes a JSON string.
func (p *parser) str() bool {
	p.i++
	start, ascii := p.i, true
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return ascii || utf8.ValidString(p.s[start:p.i])
		case c == '\\':
			if !p.escape() {
				return false
			}
		case c < 0x20:
			return false
		default:
			ascii = ascii && c < utf8.RuneSelf
			p.i++
		}
	}
	return false
}

// escape consumes a backslash and what it escapes.
func (p *parser) escape() bool {
	p.i++
	if p.i >= len(p.s) {
		return false
	}
	switch p.s[p.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.i++
		return true
	case 'u':
		r, ok := hex4(p.s[p.i+1:])
		p.i += 5
		if !ok {
			return false
		}
		if utf16.IsSurrogate(r) {
			low, ok := escapedUnit(p.s[p.i:])
			if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
				p.canonical = false
				return true
			}
			p.i += 6
		}
		return true
	}
	return false
}

// escapedUnit reads \uXXXX at the start of s.
func escapedUnit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	return hex4(s[2:])
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[:4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote returns what a valid JSON string stands for. Half a surrogate pair becomes U+FFFD.
func unquote(raw string) string {
	raw = raw[1 : len(raw)-1]
	plain := 0
	for plain < len(raw) && raw[plain] != '\\' {
		plain++
	}
	if plain == len(raw) {
		return raw
	}
	out := append(make([]byte, 0, len(raw)), raw[:plain]...)
	for i := plain; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			out = append(out, unescape(raw[i+1]))
			i += 2
			continue
		}
		r, _ := hex4(raw[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			low, _ := escapedUnit(raw[i:])
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
