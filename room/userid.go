package room

import "strings"

// validUserID checks the grammar of user identifiers in its historical form, which servers must accept
// (https://spec.matrix.org/latest/appendices/#historical-user-ids): any local part without a colon or NUL, a server
// name, and 255 bytes in all.
func validUserID(u string) bool {
	if len(u) > 255 || u == "" || u[0] != '@' {
		return false
	}
	local, server, found := strings.Cut(u[1:], ":")
	return found && strings.IndexByte(local, 0) < 0 && validServerName(server)
}

// domain returns the server name in a user ID.
func domain(user string) string {
	_, server, _ := strings.Cut(user, ":")
	return server
}

// validServerName checks https://spec.matrix.org/latest/appendices/#server-name. An IPv4 address is a DNS name too, as
// far as its characters go.
func validServerName(s string) bool {
	host, rest := s, ""
	isHost := isDNSChar
	if strings.HasPrefix(s, "[") {
		var found bool
		if host, rest, found = strings.Cut(s[1:], "]"); !found || len(host) < 2 || len(host) > 45 {
			return false
		}
		isHost = isIPv6Char
	} else if colon := strings.IndexByte(s, ':'); colon >= 0 {
		host, rest = s[:colon], s[colon:]
	}
	if host == "" {
		return false
	}
	for i := range len(host) {
		if !isHost(host[i]) {
			return false
		}
	}
	return rest == "" || validPort(rest)
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
