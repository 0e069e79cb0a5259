package commands

import (
	"context"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func whyCommand() Command {
	return Command{
		Name: "why", Level: User,
		Usage: "<user>… [invite|join|knock|kick|ban|unban] [room] [--as-bot]",
		About: "Says whether you could do that to somebody (or they could join or knock), and why. Nothing is done.",
		Run:   runWhy,
	}
}

func runWhy(ctx context.Context, c *Call) (Reply, error) {
	if err := c.only("as-bot"); err != nil {
		return Reply{}, err
	}
	users, rest, err := c.users(c.Args)
	if err != nil {
		return Reply{}, err
	}
	if len(users) > maxLines { // each is asked about at the homeserver, and told of
		return Reply{}, faultf("That are %d people; one question is about %d at most.", len(users), maxLines)
	}
	action := room.Invite
	if len(rest) > 0 {
		switch word := room.ActionType(strings.ToLower(rest[0].text)); word {
		case room.Invite, room.Join, room.Knock, room.Kick, room.Ban, room.Unban:
			action, rest = word, rest[1:]
		}
	}
	in, err := c.lastRoom(ctx, rest)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	for _, user := range users {
		req := invites.Request{
			Actor: c.Message.Sender, Viewer: c.Message.Sender, Action: action, Room: in, Targets: []id.UserID{user}, AsBot: c.Flags["as-bot"],
		}
		if action == room.Join || action == room.Knock {
			req.Actor = user
		}
		one, err := c.judge(ctx, req)
		if err != nil {
			return Reply{}, err
		}
		if !reply.Text.Empty() {
			reply.Text.Line()
		}
		reply.Text.Add(one.Text)
	}
	return reply, nil
}

// member refuses to tell of a room that the asker is not in: what stands in its way is its members' business.
func (c *Call) member(ctx context.Context, in id.RoomID) error {
	joined, err := c.Invites.Joined(ctx, in, c.Message.Sender)
	if err == nil && !joined {
		return faultf("I only speak of rooms that you are in (invite.sender_not_joined).")
	}
	return err
}
