package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// Layer holds the values of one policy event by path. The zero value sets nothing.
type Layer struct {
	values map[string]any // bool, int64, time.Duration, string or []string
}

// Fault is one thing wrong with a policy event.
type Fault struct {
	Path    string // empty: the whole of it
	Problem room.Phrase
}

// Malformed lists the faults of a policy event.
type Malformed []Fault

// Error implements error, for logs. People are shown the phrase.
func (m Malformed) Error() string {
	parts := make([]string, len(m))
	for i, f := range m {
		parts[i] = f.Path + " " + f.Problem.Key
	}
	return strings.Join(parts, "; ")
}

// Phrase says the first faults in one line, and how many more there are.
func (m Malformed) Phrase() room.Phrase {
	const most, longest = 5, 100 // faults; characters of a path
	var parts []room.Phrase
	for i, f := range m {
		if i == most {
			parts = append(parts, room.Say("fault.more", "n", len(m)-most))
			break
		}
		parts = append(parts, room.Say("fault", "path", head(f.Path, longest)).Holding(f.Problem))
	}
	return room.Phrase{Key: "faults", Parts: parts}
}

// head returns the first n characters of a text.
func head(text string, n int) string { return fmt.Sprintf("%.*s", n, text) }

// Parse reads a policy event strictly: an unknown field is a fault. An empty object is no policy. The error
// is Malformed.
func Parse(content json.RawMessage) (Layer, error) {
	var l Layer
	fields, _, ok := exactjson.Parse(content)
	if !ok || fields.Kind != exactjson.Object {
		return l, Malformed{{"", room.Say("fault.no_object")}}
	}
	if len(fields.Items) == 0 {
		return l, nil
	}
	var faults Malformed
	if fields.Get("version").Raw != "1" {
		faults = append(faults, Fault{"version", room.Say("fault.version")})
	}
	if fields.Get("for").Exists() && writtenFor(content) == "" {
		faults = append(faults, Fault{"for", room.Say("fault.for")})
	}
	l.values = map[string]any{}
	l.read("", fields, sections(), &faults)
	if n := l.guarded(); n > maxGuarded {
		faults = append(faults, Fault{levelsPath, room.Say("fault.entries", "n", fmt.Sprint(maxGuarded))})
	}
	if len(faults) > 0 {
		return Layer{}, faults
	}
	return l, nil
}

// writtenFor returns the user for whom the bot wrote a policy event. In an event of anybody else it means nothing.
func writtenFor(content json.RawMessage) id.UserID {
	if user := exactjson.Text(content, "for"); strings.HasPrefix(user, "@") {
		return id.UserID(user)
	}
	return ""
}

// ContentFor returns the layer as the content of a policy event sent by the bot for a user. The power of the user limits the lending
// fields.
func (l Layer) ContentFor(user id.UserID) json.RawMessage {
	if l.Empty() {
		return l.Content()
	}
	content := exactjson.AppendQuoted([]byte(`{"for":`), string(user))
	return append(append(content, ','), l.Content()[1:]...)
}

// sections are the paths of the objects with fields.
func sections() map[string]bool {
	all := map[string]bool{levelsPath: true}
	for _, f := range Fields() {
		for p := f.Path; ; {
			i := strings.LastIndexByte(p, '.')
			if i < 0 {
				break
			}
			p = p[:i]
			all[p] = true
		}
	}
	return all
}

// read takes in the fields of one object, in the order of their keys.
func (l *Layer) read(prefix string, object exactjson.Value, sections map[string]bool, faults *Malformed) {
	members := slices.SortedFunc(slices.Values(object.Items), func(a, b exactjson.Member) int { return strings.Compare(a.Key, b.Key) })
	for _, m := range members {
		key := m.Key
		if prefix == "" && (key == "version" || key == "for") {
			continue
		}
		path := strings.TrimPrefix(prefix+"."+key, ".")
		dotted := strings.Contains(key, ".") && prefix != levelsPath // no path written as one key
		if sections[path] && !dotted {
			if m.Kind != exactjson.Object {
				*faults = append(*faults, Fault{path, room.Say("fault.object")})
				continue
			}
			l.read(path, m.Value, sections, faults)
			continue
		}
		f, known := Lookup(path)
		if !known || dotted {
			*faults = append(*faults, Fault{path, room.Say("fault.unknown")})
			continue
		}
		value, wrong := f.decode(m.Value)
		if wrong != nil {
			*faults = append(*faults, Fault{path, *wrong})
			continue
		}
		l.values[path] = value
	}
}

// decode reads a value of the field's kind from JSON, or returns its fault.
func (f Field) decode(v exactjson.Value) (value any, wrong *room.Phrase) {
	switch {
	case f.kind == boolean && (v.Kind == exactjson.True || v.Kind == exactjson.False):
		return v.Kind == exactjson.True, nil
	case f.kind == integer && v.Kind == exactjson.Number:
		return f.parse(v.Raw)
	case f.isList():
		if items, ok := v.Texts(); ok {
			return f.list(items)
		}
	case f.kind != boolean && f.kind != integer && v.Kind == exactjson.String:
		return f.parse(v.Text())
	}
	return nil, f.refuses()
}

// nothing is the word for an empty list of choices.
const nothing = "nothing"

// denies reports whether the items of a list keep people out. They are compared in canonical form, and all others as they are written.
func (f Field) denies() bool { return strings.HasPrefix(f.Path, "whom.deny_") }

func (f Field) isList() bool {
	return f.kind == userList || f.kind == servers || f.kind == rooms || f.kind == choices || f.kind == plans
}

// refuses returns the fault of a wrong value: it names the values which the field takes.
func (f Field) refuses() *room.Phrase {
	p := room.Say("fault.takes").Holding(f.Takes())
	return &p
}

// parse reads a value of the field's kind from text, or returns its fault. For lists, items are apart by spaces or commas.
func (f Field) parse(text string) (value any, wrong *room.Phrase) {
	switch f.kind {
	case boolean:
		switch strings.ToLower(text) {
		case "true", "yes", "on":
			return true, nil
		case "false", "no", "off":
			return false, nil
		}
	case integer:
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && n >= f.least && n <= f.most && strconv.FormatInt(n, 10) == text {
			return n, nil
		}
	case span:
		d, ok := ParseSpan(text)
		if ok && d >= time.Duration(f.least)*time.Second && d <= time.Duration(f.most)*time.Second {
			return d, nil
		}
		if ok {
			p := room.Say("fault.duration", "least", Span(time.Duration(f.least)*time.Second), "most", Span(time.Duration(f.most)*time.Second))
			return nil, &p
		}
	case choice:
		if slices.Contains(f.choices, text) {
			return text, nil
		}
	case roomID:
		if isRoomID(text) {
			return text, nil
		}
	case language:
		if isLanguage(text) {
			return text, nil
		}
	case template:
		if isTemplate(text) {
			return text, nil
		}
	case greeting:
		return f.greeting(text)
	default:
		if f.kind == choices && text == nothing {
			return []string{}, nil
		}
		return f.list(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }))
	}
	return nil, f.refuses()
}

// list checks the items of a list.
func (f Field) list(items []string) (value any, wrong *room.Phrase) {
	if len(items) > maxItems {
		p := room.Say("fault.entries", "n", maxItems)
		return nil, &p
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		faulty, meant := !isGlob(item), ""
		switch f.kind {
		case userList:
			if !faulty {
				meant, faulty = userGlobFault(item)
			}
		case servers:
			if !faulty {
				meant, faulty = serverGlobFault(item)
			}
			if f.denies() && !faulty {
				item = room.CanonicalServer(item)
			}
		case rooms:
			faulty = !isRoomID(item)
		case plans:
			faulty = !isPlan(item)
		case choices:
			faulty = !slices.Contains(f.choices, item)
		}
		if faulty && meant != "" {
			p := room.Say("fault.meant", "item", head(item, 80), "meant", meant).Holding(f.Takes())
			return nil, &p
		}
		if faulty {
			p := room.Say("fault.item", "item", head(item, 80)).Holding(f.Takes())
			return nil, &p
		}
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list, nil
}

func isGlob(s string) bool {
	return s != "" && len(s) <= maxGlob && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7F })
}

func isRoomID(s string) bool { return isGlob(s) && len(s) > 1 && s[0] == '!' }

// Has reports whether the layer sets a field.
func (l Layer) Has(path string) bool { _, set := l.values[path]; return set }

// Empty reports whether the layer sets nothing.
func (l Layer) Empty() bool { return len(l.values) == 0 }

// Paths lists the fields of the layer in the order of the document, guard.levels last.
func (l Layer) Paths() []string {
	var paths []string
	for _, f := range Fields() {
		if l.Has(f.Path) {
			paths = append(paths, f.Path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(l.values)) {
		if strings.HasPrefix(path, levelsPath+".") {
			paths = append(paths, path)
		}
	}
	return paths
}

// With returns the layer with a field set from text, as a person types it. The error is Malformed.
func (l Layer) With(path, text string) (Layer, error) {
	f, known := Lookup(path)
	if !known {
		return l, Malformed{{path, room.Say("fault.no_field")}}
	}
	value, wrong := f.parse(text)
	if wrong != nil {
		return l, Malformed{{path, *wrong}}
	}
	if l = l.with(path, value); l.guarded() > maxGuarded {
		return l, Malformed{{levelsPath, room.Say("fault.entries", "n", fmt.Sprint(maxGuarded))}}
	}
	return l, nil
}

// guarded counts the power levels in guard.levels.
func (l Layer) guarded() (n int) {
	for path := range l.values {
		if strings.HasPrefix(path, levelsPath+".") {
			n++
		}
	}
	return n
}

func (l Layer) with(path string, value any) Layer {
	values := maps.Clone(l.values)
	if values == nil {
		values = map[string]any{}
	}
	values[path] = value
	return Layer{values}
}

// Without returns the layer without a field, or without all fields below a path.
func (l Layer) Without(path string) Layer {
	values := maps.Clone(l.values)
	maps.DeleteFunc(values, func(p string, _ any) bool { return p == path || strings.HasPrefix(p, path+".") })
	return Layer{values}
}

// Strings returns the items of a list.
func (l Layer) Strings(path string) []string {
	list, _ := l.values[path].([]string)
	return list
}

// Text returns a value of the layer as With takes it, empty where it sets none.
func (l Layer) Text(path string) string {
	switch v := l.values[path].(type) {
	case time.Duration:
		return Span(v)
	case []string:
		return strings.Join(v, " ")
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// Content returns the layer as the content of a policy event; an empty layer gives an empty object.
func (l Layer) Content() json.RawMessage {
	if l.Empty() {
		return json.RawMessage("{}")
	}
	root := map[string]any{"version": 1}
	for path, value := range l.values {
		at, parts := root, strings.Split(path, ".")
		if name, ok := strings.CutPrefix(path, levelsPath+"."); ok {
			parts = append(strings.Split(levelsPath, "."), name)
		}
		for _, part := range parts[:len(parts)-1] {
			inner, _ := at[part].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
				at[part] = inner
			}
			at = inner
		}
		if d, ok := value.(time.Duration); ok {
			value = Span(d)
		}
		at[parts[len(parts)-1]] = value
	}
	raw, err := json.Marshal(root)
	if err != nil {
		return json.RawMessage("{}") // can't be: all values are plain
	}
	return raw
}
