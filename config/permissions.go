package config

import (
	"net/netip"
	"strconv"
	"strings"

	"usher/room"
)

// Level bounds the use of Usher by one user. The zero value allows nothing.
type Level uint8

// The levels. Each includes the lower levels.
const (
	LevelNone     Level = iota // commands are refused, invitations of the bot declined
	LevelUser                  // commands are run, and the bot accepts invitations
	LevelOperator              // the operators' commands are run too
)

// String returns the word in the config.
func (l Level) String() string {
	switch l {
	case LevelUser:
		return "user"
	case LevelOperator:
		return "operator"
	}
	return "none"
}

// UnmarshalText reads the word in the config.
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

// Level returns the level of a user. The key of their Matrix ID counts before the key of their server, and "*" counts last. A key
// gives a level only to an ID or a server spelled exactly like it. It also takes levels away from other spellings of the same
// name (room.CanonicalID): a key with the level "none" binds all spellings. A malformed Matrix ID has no level.
func (p Permissions) Level(user string) Level {
	local, server, ok := splitUser(user)
	if !ok || local == "" || server == "" {
		return LevelNone
	}
	most := LevelOperator
	for _, name := range []string{user, server} {
		if level, ok := p[name]; ok {
			return min(level, most)
		}
		most = min(most, p.otherSpellings(name))
	}
	return min(p["*"], most)
}

// otherSpellings returns the lowest level among the keys with another spelling of a name, LevelOperator if there is none.
func (p Permissions) otherSpellings(name string) Level {
	lowest, canonical := LevelOperator, canonicalKey(name)
	for key, level := range p {
		if level < lowest && key != "*" && canonicalKey(key) == canonical {
			lowest = level
		}
	}
	return lowest
}

// canonicalKey returns a Matrix ID or a server name in canonical form.
func canonicalKey(name string) string {
	if strings.HasPrefix(name, "@") {
		return room.CanonicalID(name)
	}
	return room.CanonicalServer(name)
}

// anybody reports whether any user may use Usher at all.
func (p Permissions) anybody() bool {
	for _, level := range p {
		if level > LevelNone {
			return true
		}
	}
	return false
}

// anybodyOf reports whether any user of a server may use Usher.
func (p Permissions) anybodyOf(server string) bool {
	for key := range p {
		user := key
		if !strings.HasPrefix(key, "@") {
			user = "@somebody/else:" + server // whom no key names
		}
		if strings.HasSuffix(user, ":"+server) && p.Level(user) > LevelNone {
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

// checkUser returns the fault of a Matrix ID, or nil. Localparts of old accounts may hold nearly anything
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
	case len(user) > room.MaxID:
		return &wrong{"is longer than a Matrix ID may be", "write at most 255 bytes"}
	}
	return nil
}

// checkPermission returns the fault of a key of the permissions, or nil. A key without any possible user is a fault, even in the form of a
// server name.
func checkPermission(key string) *wrong {
	const fix = `write a Matrix ID (@admin:example.org), a server name (example.org), or "*" for everybody`
	_, server, isUser := splitUser(key)
	if !isUser {
		server = key
	}
	switch {
	case key == "*":
		return nil
	case isServerName(strings.Trim(server, ".")) && server != strings.Trim(server, "."):
		return &wrong{"names nobody, since no server has a dot there", "write " + quote(strings.Replace(key, server, strings.Trim(server, "."), 1))}
	case isServerName(key):
		return nil
	case strings.ContainsAny(key, "*?"):
		return &wrong{"patterns mean nothing here", fix}
	case strings.HasPrefix(key, "@"):
		return checkUser(key)
	}
	return &wrong{"is neither a Matrix ID nor a server name", fix}
}

// isServerName reports whether a server may have a name: it has the grammar of the specification, and a port and an IPv6 address that
// exist.
func isServerName(name string) bool {
	host, port := name, ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
		host, port = name[:i], name[i+1:]
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return room.ValidServerName(name) && len(name) <= 230 && (port == "" || isPort(port)) &&
		(host[0] != '[' || err == nil && ip.Is6())
}

// isPort reports whether a text is the number of a port.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '+'
}
