package commands

import (
	"context"

	"usher/invites"
)

func denyCommand() Command {
	return Command{
		Name: "deny", Level: User,
		About:  "Votes against what a card asks; --ban also bans somebody who knocks.",
		Params: []Param{numbers(), inRoom(), reason(), flag("ban", "ban the person who knocks, too")},
		Run: func(ctx context.Context, c *Call) (Reply, error) {
			if c.has("ban") {
				return c.vote(ctx, invites.BanThem)
			}
			return c.vote(ctx, invites.Decline)
		},
	}
}
