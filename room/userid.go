package room

import "strings"

// ValidUserID checks the grammar of user identifiers in its historical form, which servers must accept
// (https://spec.matrix.org/latest/appendices/#historical-user-ids): any local part without a colon or NUL, a server
// name, and 255 bytes in all.
func ValidUserID(u string) bool {
	if len(u) > MaxID || u == "" || u[0] != '@' {
		return false
	}
	colon := strings.IndexByte(u, ':')
	return colon > 0 && strings.IndexByte(u[:colon], 0) < 0 && ValidServerName(u[colon+1:])
}

// domain returns the server name in a user ID.
func domain(user string) string {
	return user[strings.IndexByte(user, ':')+1:]
}

// ValidServerName checks https://spec.matrix.org/latest/appendices/#server-name. An IPv4 address is a DNS name too, as
// far as its characters go.
func ValidServerName(s string) bool {
	end := 0
	if s != "" && s[0] == '[' {
		end++
		for end < len(s) && isIPv6Char(s[end]) {
			end++
		}
		if end < 3 || end > 46 || end == len(s) || s[end] != ']' {
			return false
		}
		end++
	} else {
		for end < len(s) && isDNSChar(s[end]) {
			end++
		}
	}
	return end == len(s) && end > 0 || end > 0 && validPort(s[end:])
}

func validPort(s string) bool {
	if s[0] != ':' || len(s) < 2 || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isDNSChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c >= 'A' && c <= 'Z'
}

func isIPv6Char(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c == ':' || c == '.'
}

// MaxID is the greatest length of an identifier in bytes (https://spec.matrix.org/latest/appendices/#common-identifier-format).
const MaxID = 255

// Shorten cuts a text to at most n bytes, between two characters, and drops bytes of invalid UTF-8.
func Shorten(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
