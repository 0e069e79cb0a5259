package policy

import (
	"net/netip"
	"strings"

	"maunium.net/go/mautrix/id"
)

// Match reports whether a glob matches a whole text: * stands for any number of bytes, ? for one character
// (https://spec.matrix.org/latest/appendices/#glob-style-matching). It takes linear time save for glob × text in the worst case.
func Match(glob, text string) bool {
	star, mark := -1, 0
	g, t := 0, 0
	for t < len(text) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, t
			g++
		case g < len(glob) && glob[g] == '?':
			g++
			t += charLen(text[t:])
		case g < len(glob) && glob[g] == text[t]:
			g++
			t++
		case star >= 0:
			mark++
			g, t = star+1, mark
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

// charLen is the length in bytes of the first character.
func charLen(s string) int {
	n := 1
	for n < len(s) && s[n]&0xC0 == 0x80 {
		n++
	}
	return n
}

// matchAny returns the first of the globs that matches.
func matchAny(globs []string, text string) (glob string, ok bool) {
	for _, g := range globs {
		if Match(g, text) {
			return g, true
		}
	}
	return "", false
}

// ServerName is the server part of a user id, in lower case and without a port: what server globs are matched with.
func ServerName(user id.UserID) string { return host(user.Homeserver()) }

// host is a server's name, or a glob for some, as they are compared: in lower case, without a port, and without the dot that stands for
// the root of the DNS, which would name the same server anew.
func host(name string) string {
	name = strings.ToLower(name)
	i := strings.LastIndexByte(name, ':')
	if i >= 0 && strings.Trim(name[i+1:], "0123456789") == "" && (name[:i] == "" || name[i-1] == ']' || !strings.Contains(name[:i], ":")) {
		name = name[:i]
	}
	return strings.TrimRight(name, ".")
}

// plain is a user id with its server as servers are compared: what denies somebody is to deny them under each name that their
// server may speak by. Not for what allows: on another port may be somebody else.
func plain(user id.UserID) string {
	server := user.Homeserver()
	name := host(server)
	if name == server {
		return string(user)
	}
	return string(user[:len(user)-len(server)]) + name
}

// matchDenied returns the first of the globs that matches a user id, as it is written or plain.
func matchDenied(globs []string, user id.UserID) (glob string, ok bool) {
	if glob, ok = matchAny(globs, string(user)); ok || len(globs) == 0 {
		return glob, ok
	}
	return matchAny(globs, plain(user))
}

// isIPLiteral reports whether a server name, without port, is an IP address.
func isIPLiteral(server string) bool {
	if strings.HasPrefix(server, "[") {
		return true
	}
	_, err := netip.ParseAddr(server)
	return err == nil
}
