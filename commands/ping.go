package commands

import (
	"context"
)

func pingCommand() Command {
	return Command{
		Name: "ping", Level: User,
		Loose: []string{"version", "status", "alive"},
		See:   []string{"help"},
		Run:   runPing,
	}
}

func runPing(ctx context.Context, c *Call) (Reply, error) {
	var reply Reply
	arrived := c.Event.ReceivedAt.Sub(c.Event.SentAt)
	start := c.Clock.Now()
	if err := c.RoundTrip(ctx); err != nil {
		return reply, err
	}
	answered := c.Clock.Now().Sub(start)
	reply.Text.Say("ping", "arrived", arrived, "answered", answered, "version", c.Version)
	return reply, nil
}
