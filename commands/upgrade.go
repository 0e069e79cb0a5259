package commands

import (
	"context"
	"errors"

	"usher/invites"
	"usher/invites/moves"
	"usher/invites/requests"
	"usher/room"
)

func upgradeCommand() Command {
	return Command{
		Name: "upgrade", Level: User,
		See:    []string{"policy", "link"},
		Params: []Param{aNumber("version", room.Say("param.version")).optional(), inRoom()},
		Run:    runUpgrade,
	}
}

// runUpgrade shows what an upgrade would do, and asks for a confirmation. The card does the rest: see moves.Upgrader.
func runUpgrade(ctx context.Context, c *Call) (reply Reply, err error) {
	req, seen, err := c.Requests.Proposed(ctx, c.Message.Event)
	if err != nil || seen {
		return Reply{Progress: true}, err // after a restart: the card stands
	}
	if c.Clock.Now().Sub(c.Event.ReceivedAt) >= ConfirmWithin {
		reply.Text.Say("prune.late")
		return reply, nil
	}
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	version := req.Reason
	if version == "" {
		version = c.text("version")
	}
	plan, err := c.Moves.Plan(ctx, in, c.Message.Sender, version)
	if refusal := (moves.Refusal{}); errors.As(err, &refusal) {
		reply.Mention = true
		reply.Text.Tell(refusal.Phrase).Reason(refusal.Code)
		return reply, nil
	}
	if errors.Is(err, invites.ErrNoView) {
		return reply, fault(room.Say("move.unseen"))
	}
	if err != nil {
		return reply, err
	}
	reply = upgradeCard(plan, c.Self.Bot == plan.Performer)
	return reply, c.Requests.Propose(ctx, requests.Request{
		Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Action: moves.ActionUpgrade, Room: in, Reason: plan.To,
		AsBot: plan.Performer == c.Self.Bot,
	}, c.Event.ReceivedAt.Add(ConfirmWithin))
}

// upgradeCard lists what an upgrade would do.
func upgradeCard(p moves.Plan, mine bool) Reply {
	reply := Reply{Mention: true, Progress: true}
	by := "you"
	if mine {
		by = "me"
	}
	reply.Text.Say("upgrade.head", "from", p.From, "to", p.To, "by", by)
	tellSome(&reply.Text, len(p.Lines), func(i int) { reply.Text.Tell(p.Lines[i]) })
	reply.Text.Line().Say("prune.react", "within", ConfirmWithin)
	return reply
}

// Performed tells the outcome of a confirmed command without rows.
func (n Notices) Performed(row invites.Change) (reply Reply) {
	reply.Text.Tell(row.Detail)
	if row.Code != "" {
		reply.Text.Reason(row.Code)
	}
	if row.Status == invites.StatusDone {
		reply.React = "✅"
	}
	return reply
}
