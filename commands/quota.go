package commands

import (
	"context"

	"usher/policy"
)

func quotaCommand() Command {
	return Command{
		Name: "quota", Level: User,
		Words: []string{"quotas"}, Loose: []string{"limit", "limits", "left"},
		See:    []string{"policy", "why"},
		Params: []Param{inRoom()},
		Run:    runQuota,
	}
}

func runQuota(ctx context.Context, c *Call) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	lines, err := c.Judge.Quotas(ctx, in, c.Message.Sender)
	if err != nil {
		return reply, asFault(err)
	}
	if len(lines) == 0 {
		reply.Text.Say("quota.none")
		return reply, nil
	}
	for i, line := range lines {
		if i > 0 {
			reply.Text.Line()
		}
		grows := ""
		if !line.Grows.IsZero() {
			grows = line.Grows.Sub(c.Clock.Now()).String()
		}
		reply.Text.Say("quota.row", "field", line.Field, "left", line.Left, "count", line.Rate.Count, "per", policy.Span(line.Rate.Per), "grows", grows)
	}
	return reply, nil
}
