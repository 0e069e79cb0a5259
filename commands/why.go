package commands

import (
	"context"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites/requests"
	"usher/room"
)

func whyCommand() Command {
	return Command{
		Name: "why", Level: User,
		Words: []string{"warum", "whynot", "why-not"}, Loose: []string{"explain", "can", "may"},
		See: []string{"quota", "policy"},
		Params: []Param{
			guests(), choice("action", room.Say("param.action"), "invite", "join", "knock", "kick", "ban", "unban").optional(), inRoom(), asBot(), spaceFlag(),
		},
		Run: runWhy,
	}
}

func runWhy(ctx context.Context, c *Call) (Reply, error) {
	users, addresses := c.people("user"), c.addresses("user")
	if len(users)+len(addresses) > maxLines { // each is asked about at the homeserver, and told of
		return Reply{}, fault(room.Say("many.questions", "n", len(users)+len(addresses), "most", maxLines))
	}
	if c.has("space") {
		return inSpace(ctx, c, room.Invite, true)
	}
	action := room.Invite
	if c.has("action") {
		action = room.ActionType(strings.ToLower(c.text("action")))
	}
	in, err := c.joinedRoom(ctx)
	if err == nil && action == room.Invite {
		err = whichRoom(ctx, c, in)
	}
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	for i, address := range addresses {
		if i > 0 {
			reply.Text.Line()
		}
		if err := (mailCall{c}).whyAddress(ctx, &reply.Text, in, address); err != nil {
			return Reply{}, err
		}
	}
	for _, user := range users {
		if action == room.Kick && user == c.Message.Sender {
			if !reply.Text.Empty() {
				reply.Text.Line()
			}
			reply.Text.Say("why.yourself")
			continue
		}
		req := requests.Request{
			Actor: c.Message.Sender, Viewer: c.Message.Sender, Action: action, Room: in, Targets: []id.UserID{user}, AsBot: c.has("as-bot"),
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
