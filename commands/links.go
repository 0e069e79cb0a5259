package commands

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"
)

// link is a Matrix identifier in a link.
type link struct {
	full    string // with its sigil; empty: the link has the form of a Matrix link but names no user and no room
	via     []string
	foreign bool // the host's links are not known: the identifier can be suggested, not taken
}

// matrixHost is the host of matrix.to links (https://spec.matrix.org/latest/appendices/#matrixto-navigation).
const matrixHost = "matrix.to"

// clientHosts are the hosts of clients with links read like the links of matrix.to.
var clientHosts = []string{
	"app.element.io", "develop.element.io", "staging.element.io", "riot.im", "app.schildi.chat", "app.cinny.in", "dev.cinny.in", "fluffychat.im",
}

// clientPages are the words before the identifier in links of clients, such as https://app.element.io/#/room/!id.
var clientPages = []string{"room", "rooms", "user", "home", "direct"}

// readLink reads a link to a user, a room or an event; it names the room of an event. ok is false for every other text.
// The parts of a link are separated before they are decoded, so an identifier may contain slashes.
func readLink(text string) (l link, ok bool) {
	text = strings.TrimPrefix(text, "web+")
	if len(text) > len("matrix:") && strings.EqualFold(text[:len("matrix:")], "matrix:") {
		return readURI(text[len("matrix:"):]), true
	}
	address := text
	if strings.HasPrefix(strings.ToLower(text), matrixHost+"/#/") {
		address = "https://" + text
	}
	u, err := url.Parse(address)
	if err != nil {
		return l, strings.Contains(address, "/"+matrixHost+"/#/")
	}
	if u.Host == "" || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "element" {
		return l, false
	}
	host, path := strings.ToLower(u.Host), strings.TrimPrefix(u.EscapedFragment(), "/")
	if host == matrixHost {
		return readPath(path), true
	}
	known := slices.Contains(clientHosts, host) || u.Scheme == "element"
	if path == "" && known { // app.cinny.in has no fragment
		path = strings.TrimPrefix(u.EscapedPath(), "/")
	}
	if page, rest, found := strings.Cut(path, "/"); found && slices.Contains(clientPages, page) {
		path = rest
	}
	if !startsWithSigil(path) {
		return l, false
	}
	l = readPath(path)
	l.foreign = !known
	return l, true
}

// startsWithSigil reports whether a part of a link begins with the sigil of a user or a room.
func startsWithSigil(part string) bool {
	decoded, err := url.PathUnescape(part)
	return err == nil && len(decoded) > 1 && strings.IndexByte("@#!", decoded[0]) >= 0
}

// readPath reads <identifier>[/<event>][?<query>].
func readPath(path string) (l link) {
	path, query, _ := strings.Cut(path, "?")
	if l.full = leading(strings.Split(path, "/")); l.full == "" {
		return link{}
	}
	l.via = vias(query)
	return l
}

// readURI reads a matrix: URI without its scheme (https://spec.matrix.org/latest/appendices/#matrix-uri-scheme).
func readURI(path string) (l link) {
	path, query, _ := strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	sigil := map[string]string{"u": "@", "user": "@", "r": "#", "room": "#", "roomid": "!"}[strings.ToLower(parts[0])]
	if sigil == "" || len(parts) < 2 {
		return link{}
	}
	if n := len(parts); n >= 4 && (parts[n-2] == "e" || parts[n-2] == "event") {
		parts = append(slices.Clone(parts[:n-2]), "$")
	}
	parts[1] = sigil + parts[1]
	l.full, l.via = leading(parts[1:]), vias(query)
	return l
}

// leading decodes the parts of a path and returns the identifier at its beginning. The next part is an event or empty. An identifier
// not encoded may contain slashes: it goes up to the part with its server.
func leading(parts []string) string {
	var full string
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return ""
		}
		if i > 0 {
			full += "/"
		}
		full += decoded
		if i == 0 && !startsWithSigil(full) {
			return ""
		}
		if full[0] != '!' && !strings.Contains(full, ":") {
			continue
		}
		if rest := parts[i+1:]; len(rest) == 0 || rest[0] == "" || strings.HasPrefix(rest[0], "$") || strings.HasPrefix(rest[0], "%24") {
			return full
		}
	}
	return ""
}

func vias(query string) []string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(values["via"], func(server string) bool { return !validServer(server) })
}

// validServer reports whether a server name follows the grammar (https://spec.matrix.org/latest/appendices/#server-name) and has no empty
// label.
func validServer(name string) bool {
	host, port, hasPort := strings.Cut(name, ":")
	if end := strings.IndexByte(name, ']'); strings.HasPrefix(name, "[") && end > 0 {
		host = name[:end+1]
		port, hasPort = strings.CutPrefix(name[end+1:], ":")
	}
	if n, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || n == 0) {
		return false
	}
	if !id.ValidateServerName(name) {
		return false
	}
	if strings.HasPrefix(host, "[") {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}
