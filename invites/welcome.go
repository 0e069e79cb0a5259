package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Welcome is a user who came into a room after an invitation through the bot, and is to be welcomed there.
type Welcome struct {
	ID       int64
	Room     id.RoomID
	Target   id.UserID
	Inviter  id.UserID
	Request  string // of the invitation
	JoinedAt time.Time
	Batch    int64     // names the message that welcomes the user; 0: none yet
	BegunAt  time.Time // when the message was last tried; zero: not yet
}

// Welcomed is how many messages of welcome a room has had lately.
type Welcomed struct {
	Messages int
	Last     time.Time // zero: none
}
