package room

import (
	"slices"
	"strconv"
	"strings"
)

func sortedByKey(items []member) []member {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b member) int { return strings.Compare(a.key, b.key) })
	return items
}

// appendCanonical appends the canonical JSON of a value whose numbers are canonical already.
func appendCanonical(out []byte, n node) []byte {
	switch n.kind {
	case kindString:
		return appendQuoted(out, unquote(n.raw))
	case kindArray:
		out = append(out, '[')
		for i, item := range n.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendCanonical(out, item.node)
		}
		return append(out, ']')
	case kindObject:
		out = append(out, '{')
		for i, item := range sortedByKey(n.items) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendQuoted(out, item.key), ':')
			out = appendCanonical(out, item.node)
		}
		return append(out, '}')
	}
	return append(out, n.raw...)
}

// appendQuoted appends a string with those escapes that canonical JSON asks for, and no others.
func appendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b', '\f', '\n', '\r', '\t':
			out = append(out, '\\', "btn?fr"[c-'\b'])
		default:
			if c < 0x20 {
				out = append(out, '\\', 'u', '0', '0', '0'+c>>4)
				c = strconv.FormatUint(uint64(c&15), 16)[0]
			}
			out = append(out, c)
		}
	}
	return append(out, '"')
}
