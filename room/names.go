package room

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// CanonicalServer returns the one form in which server names are compared where a match denies something: lower case, no port, no
// dot at the end, an IP address in its usual notation. Several spellings reach the same server, so a rule against one spelling
// must hold for all. An allowing rule compares names exactly as they are written: another spelling, or another port,
// may be another server. A name may hold wildcards; the port is then removed although it holds some.
func CanonicalServer(name string) string {
	name = strings.TrimRight(withoutPort(FoldCase(name)), ".")
	ip, ok := serverIP(name)
	switch {
	case !ok:
		return name
	case ip.Is4():
		return ip.String()
	}
	return "[" + ip.String() + "]"
}

// CanonicalID returns a user ID, a room ID or an alias in lower case with its server as CanonicalServer gives it, for comparing where a
// match denies something. It may be a glob.
func CanonicalID(full string) string {
	local, server, found := strings.Cut(full, ":")
	if !found {
		return FoldCase(full)
	}
	if strings.Contains(local, "*") && strings.Trim(server, "0123456789") == "" {
		return strings.TrimRight(FoldCase(local), ".") // the wildcard stands for the server, the number is its port
	}
	return FoldCase(local) + ":" + CanonicalServer(server)
}

// FoldCase returns text in lower case, so texts different in case only become the same, in every script.
func FoldCase(text string) string {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, text)
		}
	}
	return strings.ToLower(text)
}

// IsIPLiteral reports whether a server is named by an IP address, in any notation known to resolvers.
func IsIPLiteral(server string) bool {
	name := CanonicalServer(server)
	last := name[strings.LastIndexByte(name, '.')+1:]
	_, isNumber := strings.CutPrefix(last, "0x")
	return strings.HasPrefix(name, "[") || isNumber || last != "" && strings.Trim(last, "0123456789") == ""
}

// withoutPort removes the port from a server name.
func withoutPort(name string) string {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.Trim(name[i+1:], "0123456789*?") != "" {
		return name
	}
	if i == 0 || name[i-1] == ']' || !strings.Contains(name[:i], ":") {
		return name[:i]
	}
	return name
}

// serverIP reads the IP address in a server name.
func serverIP(name string) (ip netip.Addr, ok bool) {
	if inner, isV6 := strings.CutPrefix(name, "["); isV6 {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return ip.Unmap(), err == nil && strings.HasSuffix(inner, "]")
	}
	return legacyIPv4(name)
}

// legacyIPv4 reads an IPv4 address of one to four numbers, decimal, octal or hexadecimal, as inet_aton does: the last number fills the
// remaining bytes.
func legacyIPv4(name string) (ip netip.Addr, ok bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return ip, false
	}
	var all uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (4 - i)
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil || strings.Contains(part, "_") {
			return ip, false
		}
		all = all<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}), true
}
