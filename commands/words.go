package commands

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// class is the kind of a word.
type class int

// The classes.
const (
	classText   class = iota
	classPerson       // looks like a user, though its id may be invalid
	classRoom         // looks like a room, though its id may be invalid
	classOdd          // looks like a Matrix identifier, of neither a user nor a room
	classFlag         // begins with dashes
	classNumber       // a number of a card, or a range of these
	classSpan         // a length of time, a date or a time
)

// class tells the kind of a word. No other function decides it.
func (w word) class(asker id.UserID) class {
	if w.name || w.reply {
		return classPerson
	}
	if !w.quoted {
		if w.flag() != "" {
			return classFlag
		}
		if _, _, ok := fromTo(w.text); ok {
			return classNumber
		}
		if _, ok := Since(w.text, time.Time{}); ok {
			return classSpan
		}
	}
	return w.read(asker).class
}

// reading is a word read as an identifier, or as a link to one.
type reading struct {
	class class // classText: it is none
	user  id.UserID
	place place
	bare  bool        // a user id without its sigil, or an e-mail address
	wrong room.Phrase // the reason why there can be no such user or room; empty: there can
}

// place is a room as typed: an id, or an alias to be resolved.
type place struct {
	room  id.RoomID
	alias id.RoomAlias
	via   []string
}

// name is the id or the alias.
func (p place) name() string {
	if p.alias != "" {
		return string(p.alias)
	}
	return string(p.room)
}

// read reads a word as an identifier. A name without a server is on the asker's own; without an asker it is invalid. Several words in
// quotes are text.
func (w word) read(asker id.UserID) reading {
	if w.name || w.reply || w.quoted && strings.ContainsFunc(strings.TrimSpace(w.text), unicode.IsSpace) {
		return reading{}
	}
	if len(w.text) > maxWord {
		if startsAsIdentifier(w.text) {
			return reading{class: classOdd, wrong: room.Say("no.link", "text", w.text)}
		}
		return reading{}
	}
	core := peel(w.text)
	l, isLink := readLink(core)
	switch {
	case w.shows != "":
		return reading{class: classOdd, wrong: room.Say("no.two", "shown", w.shows, "meant", l.full)}
	case !isLink:
		r := readTyped(core, asker)
		if r.bare && w.quoted {
			return reading{}
		}
		return r
	case l.full == "":
		return reading{class: classOdd, wrong: room.Say("no.link", "text", w.text)}
	}
	r := readSigil(l.full, "", true)
	r.place.via = l.via
	if l.foreign && r.wrong.Empty() {
		r.wrong = room.Sentences(room.Say("no.host", "text", w.text), room.Say("suggest", "name", l.full))
	}
	return r
}

// maxWord is the length in bytes of the longest possible link.
const maxWord = 2048

// Forms of identifiers without their sigil.
var (
	mail     = regexp.MustCompile(`^(?i:mailto:)?([^@:\s]+)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)$`)
	sigilled = regexp.MustCompile(`^[A-Za-z0-9._=/+-]+:[A-Za-z0-9.-]+(?::[0-9]+)?$`)
	ownName  = regexp.MustCompile(`^[A-Za-z0-9._=/+-]+$`)
	topLevel = regexp.MustCompile(`\.[A-Za-z-]{2,}(?::[0-9]+)?$`)
)

// shortened is an e-mail address as rooms show it.
var shortened = regexp.MustCompile(`^[^@\s:]*(?:\.\.\.|…)@[^@\s:]+$|^[^@\s:]+@[^@\s:]*(?:\.\.\.|…)$`)

// address is the e-mail address in a word, whole or shortened; empty: there is none.
func (w word) address() string {
	core := peel(w.text)
	switch m := mail.FindStringSubmatch(core); {
	case w.name || w.reply:
		return ""
	case m != nil:
		return m[1] + "@" + m[2]
	case shortened.MatchString(w.text):
		return w.text
	}
	return ""
}

// readTyped reads an identifier outside of a link.
func readTyped(core string, asker id.UserID) reading {
	if core == "" {
		return reading{}
	}
	if strings.IndexByte("@#!", core[0]) >= 0 {
		return readSigil(core, asker, false)
	}
	if m := mail.FindStringSubmatch(core); m != nil {
		return reading{class: classPerson, bare: true, wrong: noUser(core, "@"+m[1]+":"+m[2])}
	}
	_, server, _ := strings.Cut(core, ":")
	if !sigilled.MatchString(core) || !topLevel.MatchString(server) && (asker == "" || !strings.EqualFold(server, asker.Homeserver())) {
		return reading{}
	}
	r := readSigil("@"+core, asker, false)
	r.bare = true
	return r
}

// readSigil reads an identifier by its sigil.
func readSigil(full string, asker id.UserID, isLink bool) reading {
	first, _ := firstRune(full[1:])
	switch {
	case full[0] == '@':
		return readUser(full, asker, isLink)
	case full[0] == '#':
		return readAlias(full, asker)
	case first < 0 || !unicode.IsLetter(first) && !unicode.IsNumber(first) && !strings.ContainsRune("_-+=/", first):
		return reading{} // an exclamation mark
	}
	r := reading{class: classRoom, place: place{room: id.RoomID(full)}}
	_, server, has := strings.Cut(full, ":")
	if !plainID(full) || len(full) > maxID || has && !validServer(server) {
		r.wrong = room.Say("no.room", "text", full)
	}
	return r
}

func firstRune(s string) (rune, bool) {
	for _, r := range s {
		return r, true
	}
	return -1, false
}

// groups are words for everybody, which name nobody.
var groups = []string{"room", "all", "everyone", "everybody", "here", "channel", "alle", "tous", "todos"}

// readUser reads a user id.
func readUser(full string, asker id.UserID, isLink bool) reading {
	r := reading{class: classPerson}
	local, server, has := strings.Cut(full[1:], ":")
	own := ""
	if asker != "" {
		own = asker.Homeserver()
	}
	switch {
	case !has && slices.Contains(groups, strings.ToLower(local)):
		r.wrong = room.Say("no.group", "text", full)
	case strings.HasPrefix(local, "@") || !isLink && strings.Contains(local, "@"):
		r.wrong = noUser(full, fediverse(local, server))
	case !isLink && strings.ContainsAny(local, `"*<>`): // allowed in old ids, but a typo here
		r.wrong = noUser(full, "")
	case !has && (own == "" || strings.EqualFold(local, own) || !ownName.MatchString(local)):
		r.wrong = noUser(full, "")
	case !has:
		server = own
	case strings.EqualFold(server, own):
		server = own // keyboards of phones begin names with a capital
	case strings.HasPrefix(server, ":") || !validServer(server):
		r.wrong = noUser(full, "")
	}
	user := "@" + local + ":" + server
	if r.wrong.Empty() && (local == "" || !plainID(user) || len(user) > maxID) {
		r.wrong = noUser(full, "")
	}
	if r.wrong.Empty() {
		r.user = id.UserID(user)
	}
	return r
}

// fediverse guesses the user meant by @name@server, or by a sigil typed twice.
func fediverse(local, server string) string {
	name, host, found := strings.Cut(strings.TrimLeft(local, "@"), "@")
	if !found {
		host = server
	}
	if name == "" || host == "" {
		return "@" + name
	}
	return "@" + name + ":" + host
}

// readAlias reads an alias of a room.
func readAlias(full string, asker id.UserID) reading {
	r := reading{class: classRoom}
	_, server, has := strings.Cut(full[1:], ":")
	switch {
	case strings.HasPrefix(full[1:], ":") || !strings.ContainsFunc(full, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }):
		r.wrong = room.Say("no.room", "text", full)
	case has && asker != "" && strings.EqualFold(server, asker.Homeserver()):
		full = strings.TrimSuffix(full, server) + asker.Homeserver()
	case has && !validServer(server):
		r.wrong = room.Say("no.room", "text", full)
	case !has && asker == "":
		r.wrong = room.Say("no.room", "text", full)
	case !has:
		full += ":" + asker.Homeserver()
	}
	if r.wrong.Empty() && (!plainID(full) || len(full) > maxID) {
		r.wrong = room.Say("no.room", "text", full)
	}
	if r.wrong.Empty() {
		r.place.alias = id.RoomAlias(full)
	}
	return r
}

// maxID is the length of an identifier in bytes (https://spec.matrix.org/latest/appendices/#common-identifier-format).
const maxID = 255

// noUser refuses a text unfit for a user id, and suggests one if a guess is given.
func noUser(text, guess string) room.Phrase {
	p := room.Say("no.user", "text", text)
	if guess == "" {
		return p
	}
	return room.Sentences(p, room.Say("suggest", "name", guess))
}

// plainID refuses identifiers with white space or invisible characters, which deceive readers.
func plainID(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || room.Invisible(r) })
}

// takeFlags splits words into flags and the others.
func takeFlags(words []word) (flags, others []word) {
	for _, w := range words {
		if w.flag() != "" {
			flags = append(flags, w)
		} else {
			others = append(others, w)
		}
	}
	return flags, others
}

// flag is the name of a flag, empty if the word is none. Keyboards make a dash of two hyphens, and people write one for two: neither
// "—dry-run" nor "-dry-run" must become the reason of a real invitation.
func (w word) flag() string {
	if w.quoted {
		return ""
	}
	name := strings.TrimLeftFunc(w.text, isDash)
	first, dashes := firstRune(name)
	dashes = dashes && name != w.text
	if !dashes || startsAsIdentifier(name) || !unicode.IsLetter(first) && name != "?" && !strings.HasPrefix(w.text, "--") {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if isDash(r) {
			return '-'
		}
		return r
	}, name)
}

// isDash reports whether a character is a hyphen, a dash, or the minus sign.
func isDash(r rune) bool { return unicode.Is(unicode.Pd, r) || r == '−' }
