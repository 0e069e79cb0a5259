package chat

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/room"
)

// PlanReport sends a report on a plan to a room. The same key sends one message.
func (c *Chat) PlanReport(ctx context.Context, in id.RoomID, key string, text room.Phrase) error {
	var reply commands.Reply
	reply.Text.Tell(text)
	_, err := c.Rooms.sender.say(ctx, in, transaction(id.EventID(key), "plan "+string(in)), reply, commands.Message{}, "")
	return err
}
