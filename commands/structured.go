package commands

import (
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/event/cmdschema"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
	"usher/words"
)

// structuredKey is the field of a message's content with the structured command
// (https://github.com/matrix-org/matrix-spec-proposals/pull/4391).
const structuredKey = "org.matrix.msc4391.command"

// structured is a command sent as data.
type structured struct {
	command   string          // with the part, such as "policy set"
	arguments exactjson.Value // an object
	to        []id.UserID     // the users in m.mentions
}

// readStructured reads the structured command in a message's content; nil: there is none.
func readStructured(content exactjson.Value) *structured {
	given := content.Get(structuredKey)
	if given.Kind != exactjson.Object {
		return nil
	}
	s := structured{command: given.Get("command").Text(), arguments: given.Get("arguments")}
	mentioned, _ := content.Get("m.mentions").Get("user_ids").Texts() // anything else mentions nobody
	for _, user := range mentioned {
		s.to = append(s.to, id.UserID(user))
	}
	return &s
}

// split returns the names of the command and of its part.
func (s *structured) split() (name, part string) {
	name, part, _ = strings.Cut(strings.ToLower(strings.Join(strings.Fields(s.command), " ")), " ")
	return name, part
}

// take gives the arguments of a structured command to the parameters. Each must have the declared type.
func (a *arguments) take(s *structured) error {
	a.data = true
	name, part := s.split()
	forms := a.form.forms()
	i := slices.IndexFunc(forms, func(f form) bool { return f.part == nil && part == "" || f.part != nil && f.part.Name == part })
	a.form = forms[max(i, 0)]
	if i < 0 {
		return a.usage(room.Say("unknown.command", "name", name+" "+part))
	}
	left := len(s.arguments.Items)
	for _, p := range a.form.params() {
		value := s.arguments.Get(p.Key)
		if value.Exists() {
			left--
		}
		if !value.Exists() || value.Kind == exactjson.Null {
			if !p.Optional && len(p.choices) != 1 && !(p.class == classPerson && (a.listed || s.arguments.Get("from").Exists())) { // a single choice is part of the form
				return a.usage(p.missing)
			}
			continue
		}
		words, ok := p.decode(value)
		if !ok || len(words) == 0 && !p.Optional {
			return a.usage(room.Say("usage.type", "argument", p.Key))
		}
		if len(words) == 0 { // a flag set to off
			continue
		}
		if err := a.set(p, words); err != nil {
			return err
		}
	}
	if left > 0 {
		return a.usage(room.Say("usage.argument"))
	}
	return nil
}

// decode reads a value of the parameter's type as words, as if typed.
func (p Param) decode(v exactjson.Value) (words []word, ok bool) {
	items := []exactjson.Member{{Value: v}}
	if p.Schema.SchemaType == cmdschema.SchemaTypeArray {
		if items = v.Items; v.Kind != exactjson.Array {
			return nil, false
		}
	}
	if p.class == classFlag {
		if v.Kind != exactjson.True {
			return nil, v.Kind == exactjson.False
		}
		return []word{{text: "--" + p.Key}}, true
	}
	for _, item := range items {
		text, ok := p.typed(item.Value)
		switch {
		case !ok:
			return nil, false
		case p.class == classText && p.many:
			return splitWords(text), true
		}
		w := word{text: text, raw: text, quoted: p.class == classText}
		if !p.fits(w, "") {
			return nil, false
		}
		words = append(words, w)
	}
	return words, true
}

// typed returns one value as text. Identifiers must be complete: the tolerance towards typing people does not serve clients.
func (p Param) typed(v exactjson.Value) (text string, ok bool) {
	switch text, isText := v.Str(); p.class {
	case classNumber:
		n, err := strconv.ParseInt(v.Raw, 10, 64)
		return strconv.FormatInt(n, 10), err == nil
	case classPerson:
		return text, isText && string(word{text: text}.read("").user) == text
	case classRoom:
		if !isText {
			return roomValue(v)
		}
		alias := word{text: text}.read("").place.alias
		return text, alias != "" && string(alias) == text
	default:
		return text, isText
	}
}

// roomValue reads a room id with the servers in the room, and writes it as a link.
func roomValue(v exactjson.Value) (link string, ok bool) {
	via, valid := v.Get("via").Texts()
	if v.Get("via").Exists() && !valid {
		return "", false
	}
	r := v.Get("id").Text()
	if v.Get("type").Text() != string(cmdschema.PrimitiveTypeRoomID) || len(r) < 2 || r[0] != '!' {
		return "", false
	}
	link = r
	if len(via) > 0 {
		link = id.RoomID(r).URI(via...).String()
	}
	return link, string(word{text: link}.read("").place.room) == r
}

// description is the form as clients read it.
func (f form) description(v *words.Voice) *cmdschema.EventContent {
	content := &cmdschema.EventContent{Command: f.name(), Description: event.MakeExtensibleText(v.Text(f.about()))}
	for _, p := range f.params() {
		p.Description = event.MakeExtensibleText(v.Text(p.about))
		content.Parameters = append(content.Parameters, &p.Parameter)
		if p.class == classText && p.many {
			content.TailParam = p.Key
		}
	}
	return content
}

// Descriptions are the contents of the state events with the descriptions of all commands, by their state keys. Commands for
// operators alone are left out.
func Descriptions(bot id.UserID, v *words.Voice) map[string]*cmdschema.EventContent {
	described := map[string]*cmdschema.EventContent{}
	for _, c := range Table() {
		if c.Level > User {
			continue
		}
		for _, f := range c.forms() {
			content := f.description(v)
			described[content.StateKey(bot)] = content
		}
	}
	return described
}
