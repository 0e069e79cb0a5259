package exactjson

import (
	"bytes"
	"slices"
	"strings"
)

// Parse reads a JSON value which fills all of raw. ok is false on a syntax error, on invalid UTF-8, and where an object has
// a key twice. canonical is false where canonical JSON can't hold the value, so no event in room versions 6 and up has it: a
// number other than an integer of at most 53 bits, or half of a surrogate pair
// (https://spec.matrix.org/latest/appendices/#canonical-json).
func Parse(raw []byte) (v Value, canonical, ok bool) {
	// At most as many members as there are commas wait for their object to end, so the stack rarely grows.
	commas := bytes.Count(raw, []byte{','})
	p := parser{b: raw, s: string(raw), canonical: true, done: make([]Member, 0, min(commas, 255)+1)}
	if !p.run() {
		return Value{}, false, false
	}
	return p.done[0].Value, p.canonical, true
}

// parser builds a tree of values.
type parser struct {
	b         []byte
	s         string // the same text, which the values share
	canonical bool
	key       string   // of the next value
	done      []Member // complete values of an incomplete object or array
	open      []level
}

// level is an open object or array.
type level struct {
	kind  Kind
	key   string
	start int // in the text
	first int // of its members in parser.done
}

// run reads the whole text. It is a loop, not a recursion: no depth exhausts the stack.
func (p *parser) run() bool {
	i := SkipSpace(p.b, 0)
	for {
		if i = p.value(i); i == Bad {
			return false
		}
		if i = p.ends(i); i == Bad {
			return false
		}
		if len(p.open) == 0 {
			return SkipSpace(p.b, i) == len(p.b)
		}
	}
}

// value reads the value at b[i], of an object or array the opening bracket only, and returns the index after it.
func (p *parser) value(i int) int {
	start := i
	if i < len(p.b) && (p.b[i] == '{' || p.b[i] == '[') {
		p.open = append(p.open, level{kindOf(p.b[i]), p.key, i, len(p.done)})
		return i + 1
	}
	if i = SkipScalar(p.b, i); i == Bad {
		return Bad
	}
	v := Value{Kind: kindOf(p.b[start]), Raw: p.s[start:i]}
	p.canonical = p.canonical && v.canonicalScalar()
	p.done = append(p.done, Member{p.key, v})
	return i
}

// ends closes the objects and arrays ending at b[i], and returns the index of the next value, or after the last one.
func (p *parser) ends(i int) int {
	for len(p.open) > 0 {
		top := &p.open[len(p.open)-1]
		opened := i == top.start+1 // nothing in it yet
		bracket := byte('}')
		if top.kind == Array {
			bracket = ']'
		}
		i = SkipSpace(p.b, i)
		switch {
		case i >= len(p.b):
			return Bad
		case p.b[i] == bracket:
			if i++; !p.close(i) {
				return Bad
			}
			continue
		case !opened && p.b[i] != ',':
			return Bad
		case !opened:
			i = SkipSpace(p.b, i+1)
		}
		return p.begin(top.kind, i)
	}
	return i
}

// begin reads the key of the next value, if the value is in an object, and returns the index of the value.
func (p *parser) begin(in Kind, i int) int {
	p.key = ""
	if in == Array {
		return i
	}
	end, value := SkipKey(p.b, i)
	if end == Bad {
		return Bad
	}
	inside := p.s[i+1 : end-1]
	p.key, p.canonical = decode(inside), p.canonical && wholePairs(inside)
	return value
}

// close makes a value of the innermost open object or array, which ends before b[end]. It returns false if a key is there twice.
func (p *parser) close(end int) (ok bool) {
	top := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	v := Value{Kind: top.kind, Raw: p.s[top.start:end]}
	if len(p.done) > top.first {
		v.Items = slices.Clone(p.done[top.first:])
	}
	if ok = true; v.Kind == Object {
		v.index, ok = newIndex(v.Items)
	}
	p.done = append(p.done[:top.first], Member{top.key, v})
	return ok
}

// kindOf returns the kind of the value beginning with c.
func kindOf(c byte) Kind {
	switch c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	}
	return Number
}

// canonicalScalar reports whether canonical JSON can hold a string or a number. It can hold the literals.
func (v *Value) canonicalScalar() bool {
	switch v.Kind {
	case String:
		return wholePairs(v.Raw)
	case Number:
		return v.Raw != "-0" && !strings.ContainsAny(v.Raw, ".eE") && Fits53(v.Raw)
	}
	return true
}

// Fits53 reports whether an integer in decimal digits, with or without a minus sign, is within 53 bits.
func Fits53(digits string) bool {
	const most = "9007199254740991"
	digits = strings.TrimPrefix(digits, "-")
	return len(digits) < len(most) || len(digits) == len(most) && digits <= most
}

// AppendCanonical appends the canonical JSON of a value for which Parse has returned canonical.
func AppendCanonical(out []byte, v Value) []byte {
	switch v.Kind {
	case String:
		return AppendQuoted(out, v.Text())
	case Array:
		out = append(out, '[')
		for i, item := range v.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = AppendCanonical(out, item.Value)
		}
		return append(out, ']')
	case Object:
		members := slices.Clone(v.Items)
		slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
		out = append(out, '{')
		for i, m := range members {
			if i > 0 {
				out = append(out, ',')
			}
			out = AppendCanonical(append(AppendQuoted(out, m.Key), ':'), m.Value)
		}
		return append(out, '}')
	}
	return append(out, v.Raw...)
}
