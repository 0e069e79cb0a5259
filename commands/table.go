package commands

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"usher/room"
	"usher/words"
)

// Level is a person's rank in the operator's permissions.
type Level int

// The levels.
const (
	Nobody Level = iota
	User
	Operator
)

// Command declares one command: its name, its parameters and its function. Usage, parsing, help and structured commands come from
// this declaration. To add a command, write a file with its declaration and add a line to Table.
type Command struct {
	Name    string
	Aliases []string
	Words   []string // other words for it, which no other bot has: answered with a suggestion
	Loose   []string // other words for it: suggested to people addressing the bot
	See     []string // commands to read about next
	Level   Level    // the lowest level with permission
	Before  []Param  // parameters before the name of a part
	Parts   []Part   // the first one with a fitting name is taken
	Params  []Param  // parameters after the name of a part
	Records bool     // Run records each of its changes before it makes one
	Beside  bool     // calls about different users in one room may run side by side: see Call.Touches
	Run     run      // of the command without a part
	Many    many     // of the command for the people of a list; nil: it takes none
}

// Part declares a command within a command, such as "set" in "!policy set". Its parameters are Command.Before, its own, and
// Command.Params.
type Part struct {
	Name   string // one word or more
	Params []Param
	Run    run
}

type run func(ctx context.Context, c *Call) (Reply, error)

type many func(ctx context.Context, l *list) (Reply, error)

// Table lists the commands in the order of !help.
func Table() []Command {
	return []Command{
		inviteCommand(), uninviteCommand(), undoCommand(), joinCommand(), whyCommand(),
		pendingCommand(), pruneCommand(), whoInvitedCommand(), treeCommand(), statsCommand(), auditCommand(),
		cardsCommand(), approveCommand(), denyCommand(), knocksCommand(), expectCommand(), blockedCommand(),
		linkCommand(), redeemCommand(), dashboardCommand(), upgradeCommand(), moveCommand(),
		policyCommand(), listsCommand(), quotaCommand(),
		helpCommand(), languageCommand(), pingCommand(),
	}
}

// form is one way to give a command: without a part, or with one.
type form struct {
	*Command
	part *Part // nil: none
}

// forms lists all forms of a command.
func (c *Command) forms() []form {
	list := []form{{c, nil}}
	for i := range c.Parts {
		list = append(list, form{c, &c.Parts[i]})
	}
	return list
}

// name is the command's name and the part's, as structured commands write it.
func (f form) name() string {
	if f.part == nil {
		return f.Name
	}
	return f.Name + " " + f.part.Name
}

// about tells the purpose of the form in one sentence. Its key is "command." with the names of the command and of its part.
func (f form) about() room.Phrase {
	key := "command." + f.Name
	if f.part != nil {
		key += "." + strings.ReplaceAll(f.part.Name, " ", "_")
	}
	return room.Say(key)
}

func (f form) run() run {
	if f.part == nil {
		return f.Run
	}
	return f.part.Run
}

// after lists the parameters behind the part's name.
func (f form) after() []Param {
	if f.part == nil {
		return f.Params
	}
	return slices.Concat(f.part.Params, f.Params)
}

// params lists all parameters in order.
func (f form) params() []Param { return slices.Concat(f.Before, f.after()) }

// has reports whether a parameter of the form has the class.
func (f form) has(c class) bool {
	return slices.ContainsFunc(f.params(), func(p Param) bool { return p.class == c && !p.named })
}

// usage is the form as people type it.
func (f form) usage(prefix string) string {
	words := []string{prefix + f.Name}
	words = append(words, usages(f.Before)...)
	if f.part != nil {
		words = append(words, f.part.Name)
	}
	return strings.Join(append(words, usages(f.after())...), " ")
}

// partOf finds the part by the first words, and returns the words behind its name.
func (c *Command) partOf(words []word) (form, []word) {
	for i, p := range c.Parts {
		names := strings.Fields(p.Name)
		if len(words) >= len(names) && slices.EqualFunc(names, words[:len(names)], func(n string, w word) bool { return strings.EqualFold(n, strings.TrimRight(w.text, ",;:.!?")) }) {
			return form{c, &c.Parts[i]}, words[len(names):]
		}
	}
	return form{c, nil}, words
}

// index is Table by the words of its commands.
type index struct {
	named map[string]*Command // by name and alias
	words map[string]string   // names by other words, which no other bot has
	loose map[string]string   // names by further words
}

// lookups holds the index once it is built.
type lookups struct {
	indexed *index
	built   sync.Once
}

// index builds the index once.
func (r *Runner) index() *index {
	r.lookups.built.Do(func() {
		i := &index{map[string]*Command{}, map[string]string{}, map[string]string{}}
		for _, c := range Table() {
			i.named[c.Name] = &c
			for _, name := range c.Aliases {
				i.named[name] = &c
			}
			for _, word := range c.Words {
				i.words[word] = c.Name
			}
			for _, word := range c.Loose {
				i.loose[word] = c.Name
			}
		}
		for alias, name := range words.Aliases() {
			if i.named[alias] == nil {
				i.named[alias] = i.named[name]
			}
		}
		r.lookups.indexed = i
	})
	return r.lookups.indexed
}

// find looks a command up by its name or an alias.
func (r *Runner) find(name string) *Command { return r.index().named[name] }

// Known reports whether a word behind the prefix may concern the bot: it is the name of a command, or nearly one, or the bot's own. The
// intake drops messages beginning with the prefix and another word.
func (r *Runner) Known(name string) bool {
	name = commandName(name)
	return r.find(name) != nil || name == strings.ToLower(r.Self.Bot.Localpart()) || r.near(name, false) != ""
}

// commandName is a word as commands are named: without the punctuation of a sentence, in lower case.
func commandName(word string) string { return strings.ToLower(strings.TrimRight(word, ".,:;!?…")) }

// near finds the command closest to a word. A person addressing the bot gets a guess by looser rules: behind the prefix alone, the
// word may be another bot's.
func (r *Runner) near(name string, addressed bool) string {
	known := r.index()
	if found := known.words[name]; found != "" {
		return found
	}
	if found := known.loose[name]; addressed && found != "" {
		return found
	}
	found := nearest(name, slices.Sorted(maps.Keys(known.named)))
	if addressed {
		return found
	}
	d := distance([]rune(name), []rune(found))
	if found == "" || slices.Contains(otherBots, name) || len(found) < 4 || d > 1 && len(found) < 6 {
		return ""
	}
	return found
}

// otherBots are commands of other bots, close to one of ours.
var otherBots = []string{"quote", "quotes", "pong", "poll", "pin", "pins", "free", "state", "start", "list", "status", "mode", "more", "love", "who", "coin", "king", "sing"}
