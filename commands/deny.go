package commands

import (
	"context"

	"usher/invites"
	"usher/room"
)

func denyCommand() Command {
	return Command{
		Name: "deny", Level: User,
		Words: []string{"denied"}, Loose: []string{"reject", "decline", "refuse", "no"},
		See:    []string{"approve", "knocks"},
		Params: []Param{numbers(), inRoom(), reason(), flag("ban", room.Say("param.ban"))},
		Run: func(ctx context.Context, c *Call) (Reply, error) {
			if c.has("ban") {
				return c.vote(ctx, invites.BanThem)
			}
			return c.vote(ctx, invites.Decline)
		},
	}
}
