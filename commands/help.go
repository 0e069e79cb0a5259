package commands

import (
	"context"
	"strings"
)

func helpCommand() Command {
	return Command{
		Name: "help", Level: User,
		Usage: "[command]",
		About: "Lists what you may ask of me.",
		Run:   runHelp,
	}
}

func runHelp(_ context.Context, c *Call) (Reply, error) {
	var reply Reply
	if len(c.Args) > 0 {
		command := c.find(strings.ToLower(strings.TrimPrefix(c.Args[0].text, c.Prefix)))
		if command == nil || command.Level > c.Level {
			return reply, faultf("I know no command “%s”.", c.Args[0].text)
		}
		describe(&reply.Text, c.Prefix, command)
		return reply, nil
	}
	reply.Text.Say("I bring people into rooms, by the rooms' own rules. <required> [optional]")
	for _, command := range Table() {
		if command.Level <= c.Level {
			reply.Text.Line()
			describe(&reply.Text, c.Prefix, &command)
		}
	}
	return reply, nil
}

func describe(t *Text, prefix string, c *Command) {
	t.Code(c.form(prefix)).Say(" — " + c.About)
}
