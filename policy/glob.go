package policy

import (
	"maunium.net/go/mautrix/id"

	"usher/room"
)

// subject is a text, prepared for matching many globs against it: * stands for any number of bytes, ? for one character
// (https://spec.matrix.org/latest/appendices/#glob-style-matching). The time of a match is bounded by the length of the glob times one 64th of
// the length of the text: nothing is tried twice. A set of positions in the text is a bit mask of 64 positions a
// word; position i is before byte i, and the last one is behind the text. It is not safe for concurrent use.
type subject struct {
	text  string
	words int      // of a mask
	at    []uint64 // for each of the 256 bytes a mask: the positions before this byte
	bytes []uint64 // mask: the positions before any byte
	inner []uint64 // mask: the positions within a character
	pairs uint64   // pairsIn(text)
	reach []uint64 // mask: the positions at which the part of the glob read so far can end
}

func newSubject(text string) *subject {
	words := len(text)/64 + 1
	all := make([]uint64, (256+3)*words)
	s := &subject{text: text, words: words, pairs: pairsIn(text),
		at: all[:256*words], bytes: all[256*words:][:words], inner: all[257*words:][:words], reach: all[258*words:]}
	for i := range len(text) {
		word, bit := i/64, uint64(1)<<(i%64)
		s.at[int(text[i])*words+word] |= bit
		s.bytes[word] |= bit
		if text[i]&0xC0 == 0x80 {
			s.inner[word] |= bit
		}
	}
	return s
}

// match reports whether a glob matches the text.
func (s *subject) match(glob string) bool {
	if s.words > 1 {
		return s.matchLong(glob)
	}
	reach := uint64(1)
	for i := range len(glob) {
		switch c := glob[i]; c {
		case '*':
			reach |= -reach // all positions from the first one on
		case '?':
			reach = (reach & s.bytes[0]) << 1
			for reach&s.inner[0] != 0 {
				reach = reach&^s.inner[0] | reach&s.inner[0]<<1
			}
		default:
			reach = (reach & s.at[c]) << 1
		}
		if reach == 0 {
			return false
		}
	}
	return reach>>len(s.text)&1 == 1
}

// matchLong is match for a text of 64 bytes or more.
func (s *subject) matchLong(glob string) bool {
	clear(s.reach)
	s.reach[0] = 1
	for i := range len(glob) {
		switch c := glob[i]; c {
		case '*':
			s.onward()
		case '?':
			s.step(s.bytes, false)
			for s.meets(s.inner) {
				s.step(s.inner, true)
			}
		default:
			s.step(s.at[int(c)*s.words:][:s.words], false)
		}
		if !s.meets(s.reach) {
			return false
		}
	}
	return s.reach[len(s.text)/64]>>(len(s.text)%64)&1 == 1
}

// onward adds to the reach all positions behind its first one.
func (s *subject) onward() {
	found := false
	for w, set := range s.reach {
		switch {
		case found:
			s.reach[w] = ^uint64(0)
		case set != 0:
			found, s.reach[w] = true, set|-set
		}
	}
}

// step moves the reached positions in a mask on by one byte. All other positions stay if keep is set, else they are lost.
func (s *subject) step(in []uint64, keep bool) {
	carry := uint64(0)
	for w, set := range s.reach {
		moving, staying := set&in[w], uint64(0)
		if keep {
			staying = set &^ in[w]
		}
		s.reach[w] = staying | moving<<1 | carry
		carry = moving >> 63
	}
}

// meets reports whether a reached position is in a mask.
func (s *subject) meets(mask []uint64) bool {
	for w, set := range s.reach {
		if set&mask[w] != 0 {
			return true
		}
	}
	return false
}

// pairsIn returns a set, in 64 bits, of the pairs of neighbouring bytes in a glob or text, pairs with a wildcard excepted. A glob can match
// only texts with all its pairs.
func pairsIn(s string) (set uint64) {
	for i := 1; i < len(s); i++ {
		if a, b := s[i-1], s[i]; a != '*' && a != '?' && b != '*' && b != '?' {
			set |= 1 << ((uint32(a)*0x9E3779B1 ^ uint32(b)*0x85EBCA6B) >> 26)
		}
	}
	return set
}

// matchAny returns the first glob to match a text exactly as it is written.
func matchAny(globs []string, text string) (glob string, ok bool) {
	if len(globs) == 0 {
		return "", false
	}
	s := newSubject(text)
	for _, g := range globs {
		if s.match(g) {
			return g, true
		}
	}
	return "", false
}

// ServerName returns the server of a user ID in its canonical form (room.CanonicalServer).
func ServerName(user id.UserID) string { return room.CanonicalServer(user.Homeserver()) }

// spellings are the forms of a name for denying rules: canonical and, where it differs, as written in lower case.
type spellings []*subject

func spell(written, canonical string) spellings {
	list := spellings{newSubject(canonical)}
	if folded := room.FoldCase(written); folded != canonical {
		list = append(list, newSubject(folded))
	}
	return list
}

func spellUser(user id.UserID) spellings { return spell(string(user), room.CanonicalID(string(user))) }

func spellServer(user id.UserID) spellings { return spell(user.Homeserver(), ServerName(user)) }

// denying is the glob of a denying rule.
type denying struct {
	written string
	forms   []string // in lower case: canonical and, where it differs, as written
}

func denyingGlob(written, canonical string) denying {
	d := denying{written, []string{canonical}}
	if folded := room.FoldCase(written); folded != canonical {
		d.forms = append(d.forms, folded)
	}
	return d
}

// denyingUsers prepares globs of user IDs.
func denyingUsers(globs []string) (list []denying) {
	for _, g := range globs {
		list = append(list, denyingGlob(g, room.CanonicalID(g)))
	}
	return list
}

// denyingServers prepares globs of server names.
func denyingServers(globs []string) (list []denying) {
	for _, g := range globs {
		list = append(list, denyingGlob(g, punycode(room.CanonicalServer(g))))
	}
	return list
}

// match returns the first rule to match one of the spellings, as the rule is written.
func (names spellings) match(rules []denying) (written string, ok bool) {
	for _, rule := range rules {
		for _, glob := range rule.forms {
			for _, name := range names {
				if name.match(glob) {
					return rule.written, true
				}
			}
		}
	}
	return "", false
}
