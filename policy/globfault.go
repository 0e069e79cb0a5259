package policy

import (
	"strings"

	"golang.org/x/net/idna"

	"usher/room"
)

// userGlobFault reports whether a glob of users can match no user ID. It suggests the probable meaning, empty where none
// suggests itself.
func userGlobFault(glob string) (meant string, faulty bool) {
	local, server, found := strings.Cut(glob, ":")
	switch {
	case glob == "":
		return "", true
	case !strings.ContainsRune("@*?", rune(glob[0])):
		return userGlobMeant("@" + glob), true
	case !found && (strings.Contains(glob, "*") || strings.Contains(glob[1:max(1, len(glob)-1)], "?")):
		return "", false // a wildcard may stand for the colon
	case !found || server == "" || local == "@":
		return userGlobMeant(glob), true
	}
	if meant, faulty = serverGlobFault(server); faulty && meant != "" {
		meant = local + ":" + meant
	}
	return meant, faulty
}

// userGlobMeant completes a glob of users, which begins with @, as far as the meaning can be guessed.
func userGlobMeant(glob string) string {
	local, server, _ := strings.Cut(glob[1:], ":")
	_, odd := serverGlobFault(local)
	switch {
	case strings.ContainsAny(local, "@!#/$"):
		return ""
	case server == "" && !odd && strings.Contains(local, "."): // the name of a server
		local, server = "*", local
	case server == "":
		server = "*"
	}
	if local == "" {
		local = "*"
	}
	glob = "@" + local + ":" + server
	if _, faulty := userGlobFault(glob); faulty {
		return ""
	}
	return glob
}

// serverGlobFault reports whether a glob of servers can match no server name. It suggests the probable meaning, empty where
// none suggests itself.
func serverGlobFault(glob string) (meant string, faulty bool) {
	if mayMatchServer(glob) {
		return "", false
	}
	meant = strings.TrimPrefix(strings.TrimPrefix(glob, "https://"), "http://")
	meant, _, _ = strings.Cut(meant, "/")
	if user, server, found := strings.Cut(meant, ":"); found && (strings.HasPrefix(user, "@") || user == "*") {
		meant = server
	}
	meant = punycode(strings.TrimPrefix(meant, "@"))
	if strings.HasPrefix(meant, ".") {
		meant = "*" + meant
	}
	if meant == "" || !mayMatchServer(meant) {
		return "", true
	}
	return meant, true
}

// mayMatchServer reports whether a glob can match a server name (https://spec.matrix.org/latest/appendices/#server-name) as a server may
// have: no label of a name is empty.
func mayMatchServer(glob string) bool {
	only := func(text, others string) bool {
		return !strings.ContainsFunc(text, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
		})
	}
	if strings.ContainsAny(glob, "[]") { // an IPv6 address
		return only(glob, ":.[]*?")
	}
	host, port, found := strings.Cut(glob, ":")
	if found && (port == "" || len(strings.Trim(port, "*")) > 5 || strings.Trim(port, "0123456789*?") != "") {
		return false
	}
	return host != "" && only(host, "-.*?") && host[0] != '.' && !strings.Contains(host, "..")
}

// punycode returns a server name, or a glob, with its labels beyond ASCII in the ASCII form of server names.
func punycode(name string) string {
	if name == "" || strings.Trim(name, "[]") != name {
		return name
	}
	labels := strings.Split(room.FoldCase(name), ".")
	for i, label := range labels {
		if ascii, err := idna.Punycode.ToASCII(label); err == nil && !strings.ContainsAny(label, "*?") {
			labels[i] = ascii
		}
	}
	return strings.Join(labels, ".")
}
