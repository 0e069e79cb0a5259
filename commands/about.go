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
		return "", c.puzzled(rest[0].text)
	}
	if in != c.Message.Room {
		err = c.member(ctx, in)
	}
	return in, err
}

// maybeUser takes the user who may begin the arguments.
func (c *Call) maybeUser() (user id.UserID, rest []word, err error) {
	if len(c.Args) == 0 {
		return "", nil, nil
	}
	if sigil, _, _ := c.Args[0].identifier(); sigil != '@' {
		return "", c.Args, nil
	}
	user, valid := c.Args[0].user(c.Message.Sender)
	if !valid {
		return "", nil, faultf("%s is no user id. One looks like @name:server.org.", c.Args[0].text)
	}
	return user, c.Args[1:], nil
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
