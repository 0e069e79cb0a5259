package chat

import (
	"maunium.net/go/mautrix/id"
)

// The methods here, with Deliver and Recover of the Feed, make Chat the sink of the intake.

// Left notes that a user left a room or was banned from it.
func (c *Chat) Left(r id.RoomID, banned id.UserID) { c.Members.noteLeft(r, banned) }

// Guarded reports whether a guard watches a room.
func (c *Chat) Guarded(r id.RoomID) bool { return c.Rooms.guard.Watches(r) }

// Claimed reports whether a room names a space.
func (c *Chat) Claimed(r id.RoomID) bool { return c.Rooms.claimed(r) }

// Addressed reports whether each message of a user in a room concerns the bot, since the room is the user's direct chat with it.
func (c *Chat) Addressed(r id.RoomID, user id.UserID) bool { return c.Direct.with(r) == user }
