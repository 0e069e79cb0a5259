package commands

import (
	"context"
	"time"
)

func pingCommand() Command {
	return Command{
		Name: "ping", Level: User,
		About: "Says how long your message took to reach me, how fast the homeserver answers, and which version I am.",
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
	reply.Text.Sayf("Pong! Your message reached me in %s, the homeserver answers in %s. ", short(arrived), short(answered))
	reply.Text.Say("Usher ").Code(c.Version)
	return reply, nil
}

// short words a duration; one below zero is a difference between two clocks.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "no time (our clocks differ)"
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
