package commands

import (
	"context"

	"usher/invites"
)

func approveCommand() Command {
	return Command{
		Name: "approve", Level: User,
		Words: []string{"approved"}, Loose: []string{"accept", "yes", "ok"},
		See:    []string{"deny", "knocks"},
		Params: []Param{numbers(), inRoom()},
		Run:    func(ctx context.Context, c *Call) (Reply, error) { return c.vote(ctx, invites.Accept) },
	}
}
