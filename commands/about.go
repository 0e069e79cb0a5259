package commands

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// onlyRoom is the room that a command without other arguments is about. The asker must be in it.
func (c *Call) onlyRoom(ctx context.Context, flags ...string) (id.RoomID, error) {
	if err := c.only(flags...); err != nil {
		return "", err
	}
	return c.lastRoom(ctx, c.Args)
}

// lastRoom is the room named by what is left of the arguments, or the current one. The asker must be in it.
func (c *Call) lastRoom(ctx context.Context, rest []word) (id.RoomID, error) {
	in, _, rest, err := c.where(ctx, rest)
	if err != nil {
		return "", err
	}
	if len(rest) > 0 {
		return "", c.usage("I don't understand “" + rest[0].text + "”.")
	}
	if in != c.Message.Room {
		err = c.member(ctx, in)
	}
	return in, err
}

// aboutUsers reads the people, and the room, that a question is about. The asker must be in it.
func (c *Call) aboutUsers(ctx context.Context, flags ...string) ([]id.UserID, id.RoomID, error) {
	if err := c.only(flags...); err != nil {
		return nil, "", err
	}
	users, rest, err := c.users(c.Args)
	if err != nil {
		return nil, "", err
	}
	in, err := c.lastRoom(ctx, rest)
	return users, in, err
}
