package commands

import (
	"context"

	"usher/invites"
)

func approveCommand() Command {
	return Command{
		Name: "approve", Level: User,
		About:  "Votes for what a card asks: an invitation that needs approval, or somebody who knocks.",
		Params: []Param{numbers(), inRoom()},
		Run:    func(ctx context.Context, c *Call) (Reply, error) { return c.vote(ctx, invites.Accept) },
	}
}
