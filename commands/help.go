package commands

import (
	"context"
	"strings"
)

func helpCommand() Command {
	return Command{
		Name: "help", Level: User,
		About:  "Lists what you may ask of me.",
		Params: []Param{line("command", "a command, with its part if it has some", "").optional()},
		Run:    runHelp,
	}
}

func runHelp(_ context.Context, c *Call) (reply Reply, err error) {
	if words := c.words["command"]; len(words) > 0 {
		name := strings.ToLower(strings.TrimPrefix(words[0].text, c.Prefix))
		command := c.find(name)
		if command == nil || command.Level > c.Level {
			return reply, faultf("I know no command “%s”.%s", words[0].text, suggest(name, c.names(c.Level), c.Prefix))
		}
		explain(&reply.Text, c.Prefix, command, words[1:])
		return reply, nil
	}
	reply.Text.Say("I bring people into rooms, by the rooms' own rules. <required> [optional]")
	for _, command := range Table() {
		if command.Level <= c.Level {
			reply.Text.Line().Code(command.usage(c.Prefix)).Say(" — " + command.About)
		}
	}
	return reply, nil
}

// explain describes a command with its parts and parameters, or one of its parts.
func explain(t *Text, prefix string, c *Command, rest []word) {
	f, _ := c.partOf(rest)
	if f.part == nil {
		t.Code(c.usage(prefix)).Say(" — " + c.About)
		for _, part := range c.forms()[1:] {
			t.Line().Code(part.usage(prefix)).Say(" — " + part.about())
		}
	} else {
		t.Code(f.usage(prefix)).Say(" — " + f.about())
	}
	if f.part != nil || len(c.Parts) == 0 {
		for _, p := range f.params() {
			t.Line().Code(p.usage()).Say(" — " + p.Description.Text[0].Body)
		}
	}
}
