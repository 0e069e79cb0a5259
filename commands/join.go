package commands

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites/requests"
	"usher/room"
)

func joinCommand() Command {
	return Command{
		Name: "join", Level: User,
		Loose: []string{"enter", "letmein"},
		See:   []string{"invite", "why"},
		Params: []Param{
			aRoom("room", room.Say("param.room.join"), room.Say("missing.room")), dryRun(), flag("bot", room.Say("param.bot")),
		},
		Run: runJoin,
	}
}

func runJoin(ctx context.Context, c *Call) (Reply, error) {
	joiner := c.Message.Sender
	if c.has("bot") {
		if c.Level < Operator {
			return Reply{}, fault(room.Say("refuse.bot"))
		}
		joiner = c.Self.Bot
	}
	in, via, err := c.room(ctx, "room")
	if err != nil {
		return Reply{}, err
	}
	req := requests.Request{
		Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: joiner, Action: room.Join,
		Room: in, Via: via, Targets: []id.UserID{joiner}, Asker: c.Message.Sender,
	}
	if c.has("dry-run") {
		return c.judge(ctx, req)
	}
	rows, err := c.Requests.Ask(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	return Outcome(rows, c.Clock.Now()), nil
}
