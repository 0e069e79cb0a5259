package commands

import (
	"context"

	"usher/policy"
	"usher/room"
)

func quotaCommand() Command {
	return Command{
		Name: "quota", Level: User,
		About:  "Says how many invitations you have left here, and when more come back.",
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
		reply.Text.Say("The room's policy sets no quota.")
		return reply, nil
	}
	whose := map[string]string{"quota.person": "You", "quota.server": "All people of your server", "quota.room": "All in this room"}
	for i, line := range lines {
		if i > 0 {
			reply.Text.Line()
		}
		reply.Text.Sayf("%s: %d of %d invitations within %s left", whose[line.Field], line.Left, line.Rate.Count, policy.Span(line.Rate.Per))
		if !line.Grows.IsZero() {
			reply.Text.Say("; one more in " + said(room.Say("quota.wait", "wait", line.Grows.Sub(c.Clock.Now()))))
		}
		reply.Text.Say(". ").Code(line.Field)
	}
	return reply, nil
}
