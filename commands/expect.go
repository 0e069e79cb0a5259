package commands

import (
	"context"

	"usher/invites/inbound"
	"usher/room"
)

func expectCommand() Command {
	return Command{
		Name: "expect", Level: User,
		Words: []string{"expecting"}, Loose: []string{"allow", "friend"},
		See:    []string{"blocked"},
		Params: []Param{guests()},
		Run:    runExpect,
	}
}

// runExpect notes that the sender expects invitations. Other people must not learn of whom.
func runExpect(ctx context.Context, c *Call) (reply Reply, err error) {
	if err := ownInbound(c); err != nil {
		return reply, err
	}
	for _, user := range c.people("user") {
		if err := c.Inbound.Expect(ctx, c.Message.Sender, user); err != nil {
			return reply, err
		}
	}
	reply.Text.Say("expect.noted", "n", len(c.people("user")), "within", inbound.ExpectFor)
	return reply, nil
}

// ownInbound returns nil where the sender may ask about the invitations to themselves.
func ownInbound(c *Call) error {
	switch {
	case c.Inbound == nil:
		return fault(room.Say("inbound.off"))
	case c.Message.Sender.Homeserver() != c.Self.Domain:
		return fault(room.Say("inbound.locals"))
	case !direct(c):
		return fault(room.Say("inbound.direct"))
	}
	return nil
}
