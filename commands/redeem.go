package commands

import (
	"context"
	"errors"

	"usher/invites"
	"usher/invites/links"
	"usher/room"
)

func redeemCommand() Command {
	return Command{
		Name: "redeem", Level: Nobody, Loose: []string{"code", "einlösen"},
		See:    []string{"link"},
		Params: []Param{aWord("code", room.Say("param.link.code"), room.Say("missing.code"))},
		Run:    redeemLink,
	}
}

// redeemLink lets the sender in by the code of a link. People without a permission may do so: the link has one.
func redeemLink(ctx context.Context, c *Call) (reply Reply, err error) {
	if !direct(c) {
		return reply, fault(room.Say("redeem.direct"))
	}
	reply.Text.Say("redeem.refused").Reason(invites.CodeLinkUnknown)
	l, err := c.Links.ByCode(ctx, c.text("code"))
	if errors.Is(err, invites.ErrNotFound) {
		return reply, nil
	} else if err != nil {
		return Reply{}, err
	}
	_, rows, err := c.Requests.UseLink(ctx, l, c.Message.Sender)
	if refusal := (links.Refusal{}); errors.As(err, &refusal) {
		return reply, nil
	} else if err != nil {
		return Reply{}, err
	}
	for _, row := range rows {
		switch row.Status {
		case invites.StatusWaiting:
			reply.Text = Text{}
			reply.Text.Say("redeem.waits")
			return reply, nil
		case invites.StatusOpen, invites.StatusDone:
			reply.Text = Text{}
			reply.Text.Say("redeem.done")
			return reply, nil
		}
	}
	return reply, nil
}
