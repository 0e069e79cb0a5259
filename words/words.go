// Package words has every sentence shown in chats.
//
// The deciding and acting packages hold no English. They make a room.Phrase: a key such as "why.invite.power" and named
// arguments. A Voice puts a phrase into the words of one language when it is shown.
//
// # Catalogues
//
// Each language is one YAML file of this folder, named by its tag. To add a language, add a file: docs/languages.md says how. A key that the
// file lacks is said in English. A catalogue maps keys to templates (text/template):
//
//	why.invite.power: "Inviting needs power level {{level .needed}} here, and you have {{level .had}}."
//	time.minutes: {one: "1 minute", other: "{{.n}} minutes"}
//
// The arguments are strings. The argument n chooses the plural form (the forms of a language are from CLDR), .parts is the list
// of the phrases within the phrase. Words between backticks are shown in fixed width, and \n ends a line; an argument can do neither.
// The functions for templates are in functions.go. The entries alias.<command> list further names of the commands, apart by spaces.
//
// # Tests
//
// words_test.go in the root folder reads the source of all packages: each key in use is in en.yaml and takes the arguments
// given to it, each entry is used, and no other package has sentences.
package words

import (
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v3"

	"usher/room"
)

//go:embed *.yaml
var catalogues embed.FS

// english is the language with the complete catalogue.
const english = "en"

// voices has each language by its tag. The catalogues are part of the program, so a fault in one is a bug; a test reads all.
var voices = sync.OnceValue(load)

// Voice puts phrases into the words of one language. It is safe for concurrent use.
type Voice struct {
	localizer *i18n.Localizer
	parser    template.Parser
	aliases   map[string]string      // names of commands by further names
	names     func(id string) string // of rooms, for mentions; nil: nobody and nothing is mentioned
}

// For returns the voice of a language, by its tag (BCP 47, as in "de-AT"), or the nearest voice: English where none is near.
func For(tag string) *Voice {
	if v := voices()[tag]; v != nil {
		return v
	}
	name, _ := Match(tag)
	return voices()[name]
}

// Match returns the tag of the catalogue nearest to a language. near is false where that is another
// language, such as English for want of a better one.
func Match(tag string) (name string, near bool) {
	asked, err := language.Parse(tag)
	if err != nil {
		return english, false
	}
	_, i, confidence := matcher().Match(asked)
	if confidence == language.No {
		return english, false
	}
	base, sure := asked.Base()
	found, _ := language.Make(Languages()[i]).Base()
	return Languages()[i], base == found && sure >= language.High
}

// Languages lists the tags of all catalogues, English first.
func Languages() []string { return languages() }

var languages = sync.OnceValue(func() []string {
	names := slices.Sorted(maps.Keys(voices()))
	i := slices.Index(names, english)
	return slices.Insert(slices.Delete(names, i, i+1), 0, english)
})

// matcher finds the nearest of Languages. Making it costs more than a reply.
var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, name := range Languages() {
		tags = append(tags, language.Make(name))
	}
	return language.NewMatcher(tags)
})

// Aliases returns the further names that the catalogues have for commands, with the names of the commands.
func Aliases() map[string]string {
	all := map[string]string{}
	for _, v := range voices() {
		maps.Copy(all, v.aliases)
	}
	return all
}

// aliasPrefix begins the keys of further names of commands.
const aliasPrefix = "alias."

// load reads the catalogues.
func load() map[string]*Voice {
	files, err := catalogues.ReadDir(".")
	if err != nil {
		panic(fmt.Errorf("words: %w", err))
	}
	all := map[string]*Voice{}
	for _, file := range files {
		tag := strings.TrimSuffix(file.Name(), path.Ext(file.Name()))
		all[tag] = voice(tag)
	}
	return all
}

// voice reads one language, with English below it. Each voice has templates of its own, since their functions speak its language.
func voice(tag string) *Voice {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	v := &Voice{localizer: i18n.NewLocalizer(bundle, tag), aliases: map[string]string{}}
	for _, name := range []string{english + ".yaml", tag + ".yaml"} {
		file, err := bundle.LoadMessageFileFS(catalogues, name)
		if err != nil {
			panic(fmt.Errorf("words: %s: %w", name, err))
		}
		for _, m := range file.Messages {
			if command, is := strings.CutPrefix(m.ID, aliasPrefix); is {
				for _, alias := range strings.Fields(m.Other) {
					v.aliases[alias] = command
				}
			}
		}
	}
	v.parser = &parser{template.TextParser{Funcs: v.functions(), Option: "missingkey=error"}}
	return v
}

// parser is a TextParser. Its templates may be kept, since its functions never change.
type parser struct{ template.TextParser }

// Cacheable implements template.Parser.
func (*parser) Cacheable() bool { return true }

// Run is a piece of a sentence, shown in one way.
type Run struct {
	Text string
	Code bool   // in fixed width
	Line bool   // the end of a line; Text is empty
	Link string // id of the user or of the room that Text mentions
}

// Text returns a phrase in words, without markup. Its arguments are as they are: escape the text before it is shown.
func (v *Voice) Text(p room.Phrase) string {
	var out strings.Builder
	for _, r := range v.Runs(p) {
		if r.Line {
			r.Text = "\n"
		}
		out.WriteString(r.Text)
	}
	return out.String()
}

// Runs returns a phrase in words, with the pieces in fixed width apart. Arguments are as they are: escape each
// piece before it is shown.
func (v *Voice) Runs(p room.Phrase) (runs []Run) {
	for i, piece := range strings.Split(v.render(p), "`") {
		for j, line := range strings.Split(piece, "\n") {
			if j > 0 {
				runs = append(runs, Run{Line: true})
			}
			runs = append(runs, mentions(line, i%2 == 1)...)
		}
	}
	return runs
}

// protect takes from an argument the characters with a meaning in a catalogue; restore gives them back. The bytes that
// stand for them meanwhile are none of UTF-8.
func protect(argument string) string {
	return strings.NewReplacer("`", "\xff", "\n", "\xfe").Replace(strings.ToValidUTF8(argument, "\uFFFD"))
}

func restore(text string) string { return strings.NewReplacer("\xff", "`", "\xfe", "\n").Replace(text) }

// render executes the templates of a phrase and of its parts.
func (v *Voice) render(p room.Phrase) string {
	parts := make([]string, len(p.Parts))
	for i, part := range p.Parts {
		parts[i] = v.render(part)
	}
	if p.Key == "" {
		return strings.Join(parts, " ")
	}
	data := map[string]any{"parts": parts}
	for name, value := range p.Args {
		data[name] = v.mention(name, protect(value))
	}
	text, found := v.find(p.Key, data)
	if !found {
		return protect(p.Key)
	}
	return text
}

// find renders the entry of a key. Without a plural form of its own, an entry has one form for all numbers.
func (v *Voice) find(key string, data map[string]any) (text string, found bool) {
	c := &i18n.LocalizeConfig{MessageID: key, TemplateData: data, TemplateParser: v.parser}
	if n, counts := data["n"].(string); counts {
		if count, err := strconv.Atoi(n); err == nil {
			c.PluralCount = count
		}
	}
	text, _ = v.localizer.Localize(c) // the error also tells of a missing plural form
	return text, text != ""
}
