package room

import (
	"slices"
	"strings"
)

// JSON is read by a parser of our own, because authorization needs what encoding/json does not give: keys compared
// exactly, a key given twice told from one given once, and numbers as they were written.

type kind uint8

const (
	kindNone kind = iota // no such value
	kindNull
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindArray
	kindObject
)

// maxDepth bounds nesting, so that no input exhausts the stack.
const maxDepth = 200

// A node is one JSON value. raw is its text, without space around it.
type node struct {
	kind  kind
	raw   string
	items []member // of an object, in the order given; of an array, with empty keys
	index index    // of an object with many members
}

type member struct {
	key string
	node
}

// get returns a member of an object. Its kind is kindNone when there is none.
func (n node) get(key string) node {
	if n.kind != kindObject {
		return node{}
	}
	if i := n.index.find(n.items, key); i >= 0 {
		return n.items[i].node
	}
	return node{}
}

// manyMembers is from when on an object gets an index.
const manyMembers = 16

// index finds the members of a large object; nil for small ones, which are searched through.
type index map[string]int32

// newIndex indexes members. ok is false if a key is there twice.
func newIndex(items []member) (x index, ok bool) {
	if len(items) < manyMembers {
		for i := range items {
			for j := range i {
				if items[i].key == items[j].key {
					return nil, false
				}
			}
		}
		return nil, true
	}
	x = make(index, len(items))
	for i := range items {
		x[items[i].key] = int32(i)
	}
	return x, len(x) == len(items)
}

// find returns the place of a key among the members that were indexed, or -1.
func (x index) find(items []member, key string) int {
	if x != nil {
		if i, ok := x[key]; ok {
			return int(i)
		}
		return -1
	}
	for i := range items {
		if items[i].key == key {
			return i
		}
	}
	return -1
}

func (n *node) has(key string) bool {
	return n.kind == kindObject && n.index.find(n.items, key) >= 0
}

// is reports whether a value is a certain string.
func (n node) is(s string) bool {
	v, ok := n.str()
	return ok && v == s
}

func (n node) exists() bool { return n.kind != kindNone }

// str returns the value of a string, and whether it is one.
func (n node) str() (string, bool) {
	if n.kind != kindString {
		return "", false
	}
	return unquote(n.raw), true
}

// parse reads one JSON value (RFC 8259) that fills all of s. ok is false on a syntax error, on bytes that are no UTF-8,
// and on an object that has a key twice. canonical is false when the value can't be an event's in room versions 6 and
// up (https://spec.matrix.org/latest/appendices/#canonical-json): a number other than an integer of at most 53 bits,
// or half a surrogate pair.
func parse(s string) (n node, canonical, ok bool) {
	// No more members than commas wait for their object to end, so that the stack rarely grows.
	p := parser{s: s, canonical: true, stack: make([]member, 0, min(strings.Count(s, ","), 255)+1)}
	p.space()
	n, ok = p.value(0)
	p.space()
	if !ok || p.i < len(s) {
		return node{}, false, false
	}
	return n, p.canonical, true
}

type parser struct {
	s         string
	i         int
	canonical bool
	stack     []member // of the objects and arrays that are open
}

// take moves what was put on the stack above base into a slice of its own.
func (p *parser) take(base int) []member {
	items := slices.Clone(p.stack[base:])
	p.stack = p.stack[:base]
	return items
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// next skips space and consumes c, if c comes next.
func (p *parser) next(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) value(depth int) (node, bool) {
	if p.i >= len(p.s) || depth > maxDepth {
		return node{}, false
	}
	start := p.i
	var n node
	var ok bool
	switch c := p.s[p.i]; {
	case c == '{':
		n.kind, ok = kindObject, p.object(&n, depth)
	case c == '[':
		n.kind, ok = kindArray, p.array(&n, depth)
	case c == '"':
		n.kind, ok = kindString, p.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind, ok = kindNumber, p.number()
	case c == 't':
		n.kind, ok = kindTrue, p.word("true")
	case c == 'f':
		n.kind, ok = kindFalse, p.word("false")
	case c == 'n':
		n.kind, ok = kindNull, p.word("null")
	}
	if !ok {
		return node{}, false
	}
	n.raw = p.s[start:p.i]
	if n.kind == kindObject {
		n.index, ok = newIndex(n.items)
	}
	return n, ok
}

func (p *parser) word(w string) bool {
	if len(p.s)-p.i < len(w) || p.s[p.i:p.i+len(w)] != w {
		return false
	}
	p.i += len(w)
	return true
}

func (p *parser) object(n *node, depth int) bool {
	p.i++
	base := len(p.stack)
	if p.next('}') {
		return true
	}
	for {
		p.space()
		start := p.i
		if p.i >= len(p.s) || p.s[p.i] != '"' || !p.str() {
			return false
		}
		key := unquote(p.s[start:p.i])
		if !p.next(':') {
			return false
		}
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return false
		}
		p.stack = append(p.stack, member{key, v})
		if p.next('}') {
			n.items = p.take(base)
			return true
		}
		if !p.next(',') {
			return false
		}
	}
}

func (p *parser) array(n *node, depth int) bool {
	p.i++
	base := len(p.stack)
	if p.next(']') {
		return true
	}
	for {
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return false
		}
		p.stack = append(p.stack, member{"", v})
		if p.next(']') {
			n.items = p.take(base)
			return true
		}
		if !p.next(',') {
			return false
		}
	}
}

// number consumes a JSON number.
func (p *parser) number() bool {
	start := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	digits := p.i
	if !p.digits() || p.s[digits] == '0' && p.i > digits+1 {
		return false
	}
	integer := p.s[digits:p.i]
	if integer == "0" && digits > start || !fits53(integer) {
		p.canonical = false
	}
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		p.canonical = false
		if !p.digits() {
			return false
		}
	}
	if p.i < len(p.s) && (p.s[p.i] == 'e' || p.s[p.i] == 'E') {
		p.i++
		p.canonical = false
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		return p.digits()
	}
	return true
}

func (p *parser) digits() bool {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

// fits53 reports whether an integer without a sign is at most 2⁵³-1.
func fits53(digits string) bool {
	const most = "9007199254740991"
	return len(digits) < len(most) || len(digits) == len(most) && digits <= most
}
