package commands

import (
	"context"

	"usher/invites"
)

// Limit tells whether a command may run, and, if not, whether its sender is to hear of it.
type Limit func(ev invites.Received) (run, tell bool)

// limited answers a command beyond its sender's limit. A begun command goes on.
func (c *Call) limited(ctx context.Context) (reply Reply, refused bool, err error) {
	if c.Limit == nil {
		return reply, false, nil
	}
	run, tell := c.Limit(c.Event)
	if run {
		return reply, false, nil
	}
	begun, err := c.Requests.Begun(ctx, c.Message.Event)
	if err != nil || begun {
		return reply, false, err
	}
	if tell {
		reply.Mention = true
		reply.Text.Say("refuse.often").Reason("limited")
	}
	return reply, true, nil
}

// Quiet is the last answer in a room where too many were given.
func Quiet() (reply Reply) {
	reply.Text.Say("quiet").Reason("limited")
	return reply
}
