package commands

import (
	"context"

	"usher/invites"
)

func denyCommand() Command {
	return Command{
		Name: "deny", Level: User,
		Usage: "<number>… [room] [reason…] [--ban]",
		About: "Votes against what a card asks; --ban also bans somebody who knocks.",
		Run: func(ctx context.Context, c *Call) (Reply, error) {
			if err := c.only("ban"); err != nil {
				return Reply{}, err
			}
			if c.Flags["ban"] {
				return c.vote(ctx, invites.BanThem)
			}
			return c.vote(ctx, invites.Decline)
		},
	}
}
