package commands

import (
	"context"

	"usher/invites"
)

func approveCommand() Command {
	return Command{
		Name: "approve", Level: User,
		Params: []Param{numbers(), inRoom()},
		Run:    func(ctx context.Context, c *Call) (Reply, error) { return c.vote(ctx, invites.Accept) },
	}
}
