package commands

import (
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/event/cmdschema"
)

// Param is a parameter of a command. Its schema is the one that clients get.
type Param struct {
	cmdschema.Parameter
	class   class    // of the words that it takes; a text takes words of every class
	many    bool     // takes as many words as fit
	choices []string // the only words that it takes; nil: any of its class
	shown   string   // in usage, instead of its key
	missing string   // the sentence when it is missing
	once    string   // the sentence when more words follow that it could take; empty: a later parameter may take these
}

func param(key, about string, c class, schema *cmdschema.ParameterSchema) Param {
	return Param{class: c, Parameter: cmdschema.Parameter{Key: key, Schema: schema, Description: event.MakeExtensibleText(about)}}
}

// user is one person.
func user() Param {
	p := param("user", "a person, as @name:server.org, as a link or as a mention", classPerson, cmdschema.PrimitiveTypeUserID.Schema())
	p.missing = "Whom?"
	return p
}

// users are one or more people.
func users() Param {
	p := user()
	p.Schema, p.many = cmdschema.Array(p.Schema), true
	p.Description = event.MakeExtensibleText("people, each as @name:server.org, as a link or as a mention")
	return p
}

// aRoom is a room that must be named.
func aRoom(key, about, missing string) Param {
	p := param(key, about+", as #name:server.org, !id or a link", classRoom, cmdschema.ParameterSchemaJoinableRoom)
	p.missing = missing
	return p
}

// inRoom is the room that the command is about, which is the current one where none is named.
func inRoom() Param { return aRoom("room", "the room, if it is not this one", "").optional() }

// numbers are the numbers of cards.
func numbers() Param {
	p := param("number", "numbers of cards, such as 3 or 3-7", classNumber, cmdschema.Array(cmdschema.PrimitiveTypeInteger.Schema()))
	p.many, p.missing = true, "Which? Each card has its number."
	return p
}

// since is the beginning of a span of time that ends now.
func since() Param {
	p := param("since", "a span of time such as 7d, or a date such as 2026-01-31", classSpan, cmdschema.PrimitiveTypeString.Schema())
	p.shown = "since: 7d or 2026-01-31"
	return p.optional()
}

// choice is one of some words.
func choice(key, about string, of ...string) Param {
	schemas := make([]any, len(of))
	for i, word := range of {
		schemas[i] = word
	}
	p := param(key, about, classText, cmdschema.Enum(schemas...))
	p.choices = of
	return p
}

// aWord is one word of text.
func aWord(key, about, missing string) Param {
	p := param(key, about, classText, cmdschema.PrimitiveTypeString.Schema())
	p.missing = missing
	return p
}

// line is text up to the end of the message.
func line(key, about, missing string) Param {
	p := aWord(key, about, missing)
	p.many = true
	return p
}

func reason() Param { return line("reason", "a reason", "").optional() }

// flag is a word that begins with two dashes and may stand anywhere.
func flag(key, about string) Param {
	return param(key, about, classFlag, cmdschema.PrimitiveTypeBoolean.Schema()).optional()
}

func dryRun() Param { return flag("dry-run", "say what would happen, and do nothing") }

func asBot() Param { return flag("as-bot", "act as the bot, not as the asker") }

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

// takes counts the words at the start of some that the parameter takes.
func (p Param) takes(words []word) (n int) {
	for n < len(words) && (n == 0 || p.many) && p.fits(words[n]) {
		n++
	}
	return n
}

func (p Param) fits(w word) bool {
	switch {
	case p.choices != nil:
		return slices.Contains(p.choices, strings.ToLower(w.text))
	case p.class == classText:
		return true
	}
	return w.class() == p.class
}
