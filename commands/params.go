package commands

import (
	"slices"
	"strings"

	"maunium.net/go/mautrix/event/cmdschema"
	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Param is a parameter of a command. Clients get its schema.
type Param struct {
	cmdschema.Parameter
	class   class    // of its words; a text takes words of every class
	many    bool     // takes as many words as fit
	choices []string // the only words allowed; nil: any of its class
	shown   string   // in usage, instead of its key
	prose   bool     // text for people: identifiers in it are refused
	named   bool     // a flag with a value; see option
	known   bool     // people of the bot's own server must exist
	list    bool     // it names a list of people
	mail    bool     // of people: takes e-mail addresses as well
	strange bool     // of people: takes names that nobody has as well, as rooms show them for addresses

	about   room.Phrase // its meaning, in a few words
	missing room.Phrase // the sentence when it is missing
	once    room.Phrase // the sentence when more fitting words follow; empty: a later parameter may take these
}

func param(key string, about room.Phrase, c class, schema *cmdschema.ParameterSchema) Param {
	return Param{class: c, about: about, Parameter: cmdschema.Parameter{Key: key, Schema: schema}}
}

// user is one person.
func user() Param {
	p := param("user", room.Say("param.user"), classPerson, cmdschema.PrimitiveTypeUserID.Schema())
	p.missing = room.Say("missing.user")
	return p
}

// users are one or more people.
func users() Param {
	p := user()
	p.Schema, p.many = cmdschema.Array(p.Schema), true
	p.about = room.Say("param.users")
	return p
}

// guests are people required to exist, as far as the bot can ask, or addresses of people who may not be on Matrix yet.
func guests() Param {
	p := users()
	p.known, p.mail = true, true
	return p
}

// invited are users or addresses with an open invitation.
func invited() Param {
	p := users()
	p.mail, p.strange = true, true
	return p
}

// aRoom is a room, which must be named.
func aRoom(key string, about, missing room.Phrase) Param {
	p := param(key, about, classRoom, cmdschema.ParameterSchemaJoinableRoom)
	p.missing = missing
	return p
}

// inRoom is the room of the command. Without a name it is the current one.
func inRoom() Param { return aRoom("room", room.Say("param.room"), room.Phrase{}).optional() }

// members is a room whose members the command is about.
func members() Param {
	p := aRoom("from", room.Say("param.from"), room.Phrase{}).option()
	p.list = true
	return p
}

// numbers are the numbers of cards.
func numbers() Param {
	p := param("number", room.Say("param.numbers"), classNumber, cmdschema.Array(cmdschema.PrimitiveTypeInteger.Schema()))
	p.many, p.missing = true, room.Say("missing.number")
	return p
}

// since is the beginning of a span of time up to now.
func since() Param {
	p := param("since", room.Say("param.since"), classSpan, cmdschema.PrimitiveTypeString.Schema())
	p.shown = "since: 7d or 2026-01-31"
	return p.optional()
}

// choice is one of some words.
func choice(key string, about room.Phrase, of ...string) Param {
	schemas := make([]any, len(of))
	for i, word := range of {
		schemas[i] = word
	}
	p := param(key, about, classText, cmdschema.Enum(schemas...))
	p.choices = of
	return p
}

// aWord is one word of text.
func aWord(key string, about, missing room.Phrase) Param {
	p := param(key, about, classText, cmdschema.PrimitiveTypeString.Schema())
	p.missing = missing
	return p
}

// line is text up to the end of the message.
func line(key string, about, missing room.Phrase) Param {
	p := aWord(key, about, missing)
	p.many = true
	return p
}

func reason() Param {
	p := line("reason", room.Say("param.reason"), room.Phrase{}).optional()
	p.prose = true
	return p
}

// flag is a word with two dashes before it, at any place.
func flag(key string, about room.Phrase) Param {
	return param(key, about, classFlag, cmdschema.PrimitiveTypeBoolean.Schema()).optional()
}

func dryRun() Param { return flag("dry-run", room.Say("param.dry_run")) }

func takeOver() Param { return flag("take-over", room.Say("param.take_over")) }

func asBot() Param { return flag("as-bot", room.Say("param.as_bot")) }

func (p Param) optional() Param {
	p.Optional = true
	return p
}

// usage is the parameter as !help writes it: <required>, [optional], with … where it takes several words.
func (p Param) usage() string {
	name := p.Key
	switch {
	case p.class == classFlag:
		return "[--" + name + "]"
	case p.named && p.many:
		return "[--" + name + " …]…"
	case p.named:
		return "[--" + name + " …]"
	case len(p.choices) == 1:
		return p.choices[0]
	case p.choices != nil:
		name = strings.Join(p.choices, "|")
	case p.shown != "":
		name = p.shown
	}
	switch {
	case p.Optional && p.many:
		return "[" + name + "…]"
	case p.Optional:
		return "[" + name + "]"
	case p.many:
		return "<" + name + ">…"
	}
	return "<" + name + ">"
}

func usages(params []Param) (list []string) {
	for _, p := range params {
		list = append(list, p.usage())
	}
	return list
}

// takes counts the words for the parameter at the start of a list.
func (p Param) takes(words []word, asker id.UserID) (n int) {
	for n < len(words) && (n == 0 || p.many) && p.fits(words[n], asker) {
		n++
	}
	return n
}

func (p Param) fits(w word, asker id.UserID) bool {
	switch {
	case p.choices != nil:
		return slices.Contains(p.choices, strings.ToLower(strings.Trim(w.text, ",;:.!?")))
	case p.class == classText:
		return true
	}
	return w.class(asker) == p.class
}
