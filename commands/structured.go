package commands

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/event/cmdschema"
	"maunium.net/go/mautrix/id"
)

// structuredKey is the field of a message's content that holds a structured command
// (https://github.com/matrix-org/matrix-spec-proposals/pull/4391).
const structuredKey = "org.matrix.msc4391.command"

// structured is a command that a client sends as data.
type structured struct {
	command   string // with the part, such as "policy set"
	arguments map[string]json.RawMessage
	to        []id.UserID // the users that the message mentions
}

// readStructured reads the structured command in a message's content; nil: there is none.
func readStructured(content map[string]json.RawMessage) *structured {
	given := object(content[structuredKey])
	if given == nil {
		return nil
	}
	s := structured{command: str(given["command"]), arguments: object(given["arguments"])}
	_ = json.Unmarshal(object(content["m.mentions"])["user_ids"], &s.to) // anything else mentions nobody
	return &s
}

// split returns the names of the command and of its part.
func (s *structured) split() (name, part string) {
	name, part, _ = strings.Cut(strings.ToLower(strings.Join(strings.Fields(s.command), " ")), " ")
	return name, part
}

// take gives the arguments of a structured command to the parameters, once each has the type that the parameter declares.
func (a *arguments) take(s *structured) error {
	name, part := s.split()
	forms := a.form.forms()
	i := slices.IndexFunc(forms, func(f form) bool { return f.part == nil && part == "" || f.part != nil && f.part.Name == part })
	a.form = forms[max(i, 0)]
	if i < 0 {
		return a.usage("I know no command “" + name + " " + part + "”.")
	}
	left := len(s.arguments)
	for _, p := range a.form.params() {
		raw, given := s.arguments[p.Key]
		if given {
			left--
		}
		if !given || string(raw) == "null" {
			if !p.Optional && len(p.choices) != 1 { // a single choice is part of the form
				return a.usage(p.missing)
			}
			continue
		}
		words, ok := p.decode(raw)
		if !ok || len(words) == 0 && !p.Optional {
			return a.usage("The argument “" + p.Key + "” has the wrong type.")
		}
		if len(words) == 0 { // a flag that is off
			continue
		}
		if err := a.set(p, words); err != nil {
			return err
		}
	}
	if left > 0 {
		return a.usage("The command has an argument that I don't know.")
	}
	return nil
}

// decode reads a value of the parameter's type as the words that people would type.
func (p Param) decode(raw json.RawMessage) (words []word, ok bool) {
	items := []json.RawMessage{raw}
	if p.Schema.SchemaType == cmdschema.SchemaTypeArray && json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	if p.class == classFlag {
		var on bool
		if json.Unmarshal(raw, &on) != nil || !on {
			return nil, string(raw) == "false"
		}
		return []word{{text: "--" + p.Key}}, true
	}
	for _, item := range items {
		text, ok := p.typed(item)
		switch {
		case !ok:
			return nil, false
		case p.class == classText && p.many:
			return splitWords(text), true
		}
		w := word{text: text, quoted: p.class == classText}
		if !p.fits(w) {
			return nil, false
		}
		words = append(words, w)
	}
	return words, true
}

// typed returns one value as text. Identifiers must be complete: the tolerance towards people who type does not serve clients.
func (p Param) typed(raw json.RawMessage) (text string, ok bool) {
	switch isText := json.Unmarshal(raw, &text) == nil && string(raw) != "null"; p.class {
	case classNumber:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return strconv.FormatInt(n, 10), err == nil
	case classPerson:
		user, valid := word{text: text}.user("")
		return text, isText && valid && string(user) == text
	case classRoom:
		if !isText {
			return roomValue(object(raw))
		}
		p, valid := word{text: text}.place()
		return text, valid && string(p.alias) == text
	default:
		return text, isText
	}
}

// roomValue reads a room id with the servers that know the room, and writes it as a link.
func roomValue(fields map[string]json.RawMessage) (link string, ok bool) {
	var via []string
	if raw := fields["via"]; raw != nil && json.Unmarshal(raw, &via) != nil {
		return "", false
	}
	r := str(fields["id"])
	if str(fields["type"]) != string(cmdschema.PrimitiveTypeRoomID) || len(r) < 2 || r[0] != '!' {
		return "", false
	}
	link = r
	if len(via) > 0 {
		link = id.RoomID(r).URI(via...).String()
	}
	p, valid := word{text: link}.place()
	return link, valid && string(p.room) == r
}

// description is the form as clients read it.
func (f form) description() *cmdschema.EventContent {
	content := &cmdschema.EventContent{Command: f.name(), Description: event.MakeExtensibleText(f.about())}
	for _, p := range f.params() {
		content.Parameters = append(content.Parameters, &p.Parameter)
		if p.class == classText && p.many {
			content.TailParam = p.Key
		}
	}
	return content
}

// Descriptions are the contents of the state events that tell clients which commands the bot has, by their state keys. Commands for
// operators alone are left out.
func Descriptions(bot id.UserID) map[string]*cmdschema.EventContent {
	described := map[string]*cmdschema.EventContent{}
	for _, c := range Table() {
		if c.Level > User {
			continue
		}
		for _, f := range c.forms() {
			content := f.description()
			described[content.StateKey(bot)] = content
		}
	}
	return described
}
