package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Move is the invitation of the members of one room to another one. Its invitations are the rows of its command.
type Move struct {
	ID          int64
	Command     id.EventID
	Old         id.RoomID
	New         id.RoomID
	Actor       id.UserID
	CommandRoom id.RoomID
	Remind      time.Duration // after the last invitation, people who have not come are reminded; 0: never
	CreatedAt   time.Time
	DueAt       time.Time // of the next look at it; zero: nothing is left to do
	RemindedAt  time.Time // zero: nobody was reminded
}

// MoveCount is how many people of a move stand alike.
type MoveCount struct {
	Status Status
	Code   string
	Fate   Fate // of the last invitation to the new room, where the row is done; empty: it was not seen yet
	N      int
	Last   time.Time // when the last of these rows was settled
}

// MoveReminder is one message about the people of a move who have not come.
type MoveReminder struct {
	Move
	Users []id.UserID // who are still in the old room, in the order of their invitations
	Mute  bool        // the bot or the actor may not speak in the old room, so the actor is told instead
}
