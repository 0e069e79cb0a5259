package chat

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// The methods here, with Deliver and Recover of the Feed, make Chat the sink of the intake.

// Linked keeps claims of spaces on rooms.
func (c *Chat) Linked(ctx context.Context, claims []invites.SpaceChild) error {
	return c.Rooms.linked(ctx, claims)
}

// Left notes the leaving of a user.
func (c *Chat) Left(r id.RoomID) { c.Members.noteLeft(r) }

// Guarded reports whether a guard watches a room.
func (c *Chat) Guarded(r id.RoomID) bool { return c.Rooms.guard.Watches(r) }

// Claimed reports whether a space claims a room.
func (c *Chat) Claimed(r id.RoomID) bool { return c.Rooms.claimed(r) }

// Addressed reports whether each message in a room concerns the bot, since the room is a direct chat with it.
func (c *Chat) Addressed(r id.RoomID) bool { return c.Direct.has(r) }
