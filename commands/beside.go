package commands

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Touches returns the users whose memberships the command may read or change, besides its sender's. Commands of one room on different users
// may run side by side: their outcome is the same as one after the other. all is true for a command without this property, which runs
// alone: it names people by words that depend on the room, names another room or many people, or is about a room whose policy makes
// one invitation depend on the others.
func (c *Call) Touches(ctx context.Context) (users []id.UserID, all bool) {
	guests := c.words["user"]
	alone := !c.form.Beside || c.help || c.Message.Edits != "" || c.has("room") || c.has("space") || c.listed || len(guests) > invites.FewRows || len(c.addresses("user")) > 0 ||
		slices.ContainsFunc(guests, func(w word) bool { return w.name || w.reply })
	if alone {
		return nil, true
	}
	if users = c.people("user"); slices.Contains(users, c.Self.Bot) {
		return nil, true
	}
	apart, err := c.Requests.Apart(ctx, c.Message.Room, c.Message.Sender)
	return users, err != nil || !apart // after an error, the command itself meets the trouble
}
