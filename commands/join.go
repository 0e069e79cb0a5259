package commands

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"usher/invites/requests"
	"usher/room"
)

func joinCommand() Command {
	return Command{
		Name: "join", Level: User,
		About: "Lets you into a room that is open to you; with --bot (operators) it is the bot that joins.",
		Params: []Param{
			aRoom("room", "the room to join", "Which room?"), dryRun(), flag("bot", "have the bot join (operators)"),
		},
		Run: runJoin,
	}
}

func runJoin(ctx context.Context, c *Call) (Reply, error) {
	joiner := c.Message.Sender
	if c.has("bot") {
		if c.Level < Operator {
			return Reply{}, faultf("Only operators of this Usher may send it to a room. You can invite it there instead.")
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
	return c.ask(ctx, req)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
