package commands

import (
	"context"
	"strings"

	"usher/room"
)

func helpCommand() Command {
	return Command{
		Name: "help", Level: User,
		Params: []Param{line("command", room.Say("param.command"), room.Phrase{}).optional()},
		Run:    runHelp,
	}
}

func runHelp(_ context.Context, c *Call) (reply Reply, err error) {
	if words := c.words["command"]; len(words) > 0 {
		name := strings.ToLower(strings.TrimPrefix(words[0].text, c.Prefix))
		command := c.find(name)
		if command == nil || command.Level > c.Level {
			return reply, fault(room.Sentences(room.Say("unknown.command", "name", words[0].text), suggest(name, c.names(c.Level), c.Prefix)))
		}
		explain(&reply.Text, c.Prefix, command, words[1:])
		return reply, nil
	}
	reply.Text.Say("help")
	for _, command := range Table() {
		if command.Level <= c.Level {
			reply.Text.Line()
			entry(&reply.Text, command.usage(c.Prefix), form{&command, nil}.about())
		}
	}
	return reply, nil
}

// explain describes a command with its parts and parameters, or one of its parts.
func explain(t *Text, prefix string, c *Command, rest []word) {
	f, _ := c.partOf(rest)
	if f.part == nil {
		entry(t, c.usage(prefix), f.about())
		for _, part := range c.forms()[1:] {
			entry(t.Line(), part.usage(prefix), part.about())
		}
	} else {
		entry(t, f.usage(prefix), f.about())
	}
	if f.part != nil || len(c.Parts) == 0 {
		for _, p := range f.params() {
			entry(t.Line(), p.usage(), p.about)
		}
	}
}

// entry is a line of help.
func entry(t *Text, usage string, about room.Phrase) {
	t.Tell(room.Say("help.entry", "usage", usage).Holding(about))
}
