package config

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Level is what somebody may do with Usher. The zero value is nothing.
type Level uint8

// The levels, each including those before it.
const (
	LevelNone     Level = iota // their commands are refused, their invitations declined
	LevelUser                  // may run commands and have the bot come to their rooms
	LevelOperator              // may run the operators' commands too
)

// String returns the word that stands in the config.
func (l Level) String() string {
	switch l {
	case LevelUser:
		return "user"
	case LevelOperator:
		return "operator"
	}
	return "none"
}

// UnmarshalText reads the word that stands in the config.
func (l *Level) UnmarshalText(text []byte) error {
	for _, level := range []Level{LevelNone, LevelUser, LevelOperator} {
		if string(text) == level.String() {
			*l = level
			return nil
		}
	}
	return wrong{quote(string(text)) + " is no level", "write none, user or operator"}
}

// Permissions gives people their level: by Matrix ID ("@admin:example.org"), by server name ("example.org"), or for
// everybody ("*").
type Permissions map[string]Level

// Level returns what a user may do. Their Matrix ID counts before their server, and that before "*". What is no Matrix
// ID may do nothing.
func (p Permissions) Level(user string) Level {
	local, server, ok := splitUser(user)
	if !ok || local == "" || server == "" {
		return LevelNone
	}
	for _, key := range []string{user, server, "*"} {
		if level, ok := p[key]; ok {
			return level
		}
	}
	return LevelNone
}

// anybody tells whether there is somebody who may use Usher at all.
func (p Permissions) anybody() bool {
	for _, level := range p {
		if level > LevelNone {
			return true
		}
	}
	return false
}

// splitUser cuts a Matrix ID at its first colon.
func splitUser(user string) (local, server string, ok bool) {
	rest, ok := strings.CutPrefix(user, "@")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

// checkUser says what is wrong with a Matrix ID. Localparts of old accounts may hold nearly anything
// (https://spec.matrix.org/latest/appendices/#historical-user-ids).
func checkUser(user string) *wrong {
	local, server, ok := splitUser(user)
	switch {
	case !ok:
		return &wrong{quote(user) + " has no server name", "write a whole Matrix ID, such as @admin:example.org"}
	case local == "" || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return &wrong{quote(user) + " is no Matrix ID", "write one such as @admin:example.org"}
	case !isServerName(server):
		return &wrong{quote(server) + " is no server name", "write a whole Matrix ID, such as @admin:example.org"}
	case len(user) > 255:
		return &wrong{"is longer than a Matrix ID may be", "write at most 255 bytes"}
	}
	return nil
}

// checkPermission says what is wrong with a key of the permissions.
func checkPermission(key string) *wrong {
	const fix = `write a Matrix ID (@admin:example.org), a server name (example.org), or "*" for everybody`
	switch {
	case key == "*" || isServerName(key):
		return nil
	case strings.ContainsAny(key, "*?"):
		return &wrong{"patterns mean nothing here", fix}
	case strings.HasPrefix(key, "@"):
		return checkUser(key)
	}
	return &wrong{"is neither a Matrix ID nor a server name", fix}
}

var hostName = regexp.MustCompile(`\A[A-Za-z0-9.-]{1,255}\z`)

// isServerName follows https://spec.matrix.org/latest/appendices/#server-name.
func isServerName(name string) bool {
	if len(name) > 230 {
		return false
	}
	if strings.HasPrefix(name, "[") {
		literal, rest, ok := strings.Cut(name[1:], "]")
		ip, err := netip.ParseAddr(literal)
		return ok && err == nil && ip.Is6() && ip.Zone() == "" && (rest == "" || rest[0] == ':' && isPort(rest[1:]))
	}
	host, port, found := strings.Cut(name, ":")
	return hostName.MatchString(host) && (!found || isPort(port))
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '+'
}
