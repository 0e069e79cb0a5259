package commands

import (
	"context"
	"strings"
)

func blockedCommand() Command {
	return Command{
		Name: "blocked", Level: User,
		Words: []string{"spam"}, Loose: []string{"refused", "rejected"},
		See: []string{"expect"},
		Run: runBlocked,
	}
}

// runBlocked lists the refused invitations of the sender; for an operator also how many there were in all, by server.
func runBlocked(_ context.Context, c *Call) (reply Reply, err error) {
	if err := ownInbound(c); err != nil {
		return reply, err
	}
	mine := c.Inbound.Refused(c.Message.Sender, maxLines)
	if len(mine) == 0 {
		reply.Text.Say("blocked.none")
	} else {
		reply.Text.Say("blocked.head", "n", len(mine))
	}
	now := c.Clock.Now()
	for _, one := range mine {
		reply.Text.Line().Say("blocked.row", "sender", one.Sender, "age", now.Sub(one.At), "prefix", c.Prefix).Reason(one.Code)
	}
	if c.Level < Operator {
		return reply, nil
	}
	if held := c.Inbound.Held(); held > 0 {
		reply.Text.Line().Say("blocked.held", "n", held)
	}
	totals := c.Inbound.Totals()
	reply.Text.Line().Say("blocked.all", "n", len(totals))
	for i, one := range totals {
		if i == maxLines {
			reply.Text.Line().Say("more", "n", len(totals)-i)
			break
		}
		reply.Text.Line().Say("blocked.total", "server", one.Server, "n", one.Count, "code", strings.TrimPrefix(one.Code, "spam."))
	}
	return reply, nil
}
