package commands

import (
	"context"
	"slices"
	"strings"

	"usher/room"
)

func helpCommand() Command {
	return Command{
		Name: "help", Level: User, Loose: []string{"h", "?", "commands", "aide", "ayuda", "hulp", "man", "usage", "menu", "start"},
		See:    []string{"policy"},
		Params: []Param{line("command", room.Say("param.command"), room.Phrase{}).optional()},
		Run:    runHelp,
	}
}

// chapters are the commands in the order of !help, by subject.
func chapters() []chapter {
	return []chapter{
		{room.Say("help.inviting"), []string{"invite", "uninvite", "undo", "link", "redeem", "join", "why"}},
		{room.Say("help.looking"), []string{"pending", "whoinvited", "tree", "stats", "quota", "blocked", "audit", "dashboard"}},
		{room.Say("help.deciding"), []string{"cards", "approve", "deny", "knocks", "prune", "expect"}},
		{room.Say("help.rules"), []string{"policy", "lists", "upgrade", "move"}},
		{room.Say("help.me"), []string{"help", "language", "ping"}},
	}
}

type chapter struct {
	heading room.Phrase
	names   []string
}

func runHelp(_ context.Context, c *Call) (reply Reply, err error) {
	if words := c.words["command"]; len(words) > 0 {
		name := commandName(strings.TrimPrefix(words[0].text, c.Prefix))
		command := c.find(name)
		if command == nil || command.Level > c.Level {
			if near := c.near(name, true); near != "" {
				return reply, fault(room.Sentences(room.Say("unknown.command", "name", words[0].text), room.Say("suggest", "name", c.Prefix+"help "+near)))
			}
			return reply, fault(room.Sentences(room.Say("unknown.command", "name", words[0].text), room.Say("unknown.help", "prefix", c.Prefix)))
		}
		c.form, _ = command.partOf(words[1:])
		return c.explained(), nil
	}
	reply.Text.Say("help")
	for _, part := range chapters() {
		reply.Text.Line().Tell(part.heading)
		for _, name := range part.names {
			if command := c.find(name); command.Level <= c.Level {
				entry(reply.Text.Line(), command.brief(c.Prefix), room.Say("brief."+name))
			}
		}
	}
	reply.Text.Line().Say("help.more", "prefix", c.Prefix)
	if c.Guide != "" {
		reply.Text.Line().Say("help.guide", "url", c.Guide)
	}
	return reply, nil
}

// brief is the command with its required parameters.
func (c *Command) brief(prefix string) string {
	required := slices.DeleteFunc(slices.Concat(c.Before, c.Params), func(p Param) bool { return p.Optional })
	return strings.Join(append([]string{prefix + c.Name}, usages(required)...), " ")
}

// explained describes the form of the command, with its parameters and examples.
func (c *Call) explained() (reply Reply) {
	t, f := &reply.Text, c.form
	entry(t, f.usage(c.Prefix), f.about())
	if f.part == nil && len(f.Parts) > 0 {
		for _, part := range f.forms()[1:] {
			entry(t.Line(), part.usage(c.Prefix), part.about())
		}
	} else {
		for _, p := range f.params() {
			entry(t.Line(), p.usage(), p.about)
		}
	}
	if f.part == nil {
		t.Line().Say("help.samples")
		t.Line().Tell(room.Say("sample."+f.Name, "prefix", c.Prefix))
		t.Line().Say("help.see", "commands", c.Prefix+strings.Join(f.See, ", "+c.Prefix))
	}
	return reply
}

// entry is a line of help.
func entry(t *Text, usage string, about room.Phrase) {
	t.Tell(room.Say("help.entry", "usage", usage).Holding(about))
}
