package commands

import (
	"context"

	"usher/invites"
	"usher/policy"
)

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		Usage: "<user>… [room] [reason…] [--dry-run] [--as-bot]",
		About: "Takes open invitations back. To Matrix that is a kick, even of one's own: it needs the power to kick.",
		Run:   runUninvite,
	}
}

func runUninvite(ctx context.Context, c *Call) (Reply, error) {
	if err := c.only("dry-run", "as-bot"); err != nil {
		return Reply{}, err
	}
	targets, rest, err := c.users(c.Args)
	if err != nil {
		return Reply{}, err
	}
	in, via, rest, err := c.where(ctx, rest)
	if err != nil {
		return Reply{}, err
	}
	req := invites.Request{
		Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Action: policy.ActionWithdraw,
		Room: in, Via: via, Targets: targets, Reason: reason(rest), AsBot: c.Flags["as-bot"],
	}
	if c.Flags["dry-run"] {
		return c.judge(ctx, req)
	}
	return c.ask(ctx, req)
}
