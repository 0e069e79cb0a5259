package invites

import (
	"cmp"
	"time"

	"maunium.net/go/mautrix/id"
)

// SpaceRoom is one room of a space, or a space in it, as the homeserver shows it to a user.
type SpaceRoom struct {
	Room     id.RoomID
	Name     string
	JoinRule string
	Allowed  []id.RoomID // rooms whose members a restricted join rule lets in
	Space    bool
	Readable bool // by the world
	Children []SpaceLink
}

// SpaceLink is the place of a room in a space.
type SpaceLink struct {
	Room      id.RoomID
	Order     string // empty: none, or one that the specification does not take
	At        int64  // when it got its place, in milliseconds
	Suggested bool
}

// SpaceWait is an invitation to a room of a space, asked for until the target has joined the space.
type SpaceWait struct {
	ID          int64
	Space       id.RoomID
	Room        id.RoomID
	Target      id.UserID
	Actor       id.UserID
	Command     id.EventID
	CommandRoom id.RoomID
	Reason      string
	AsBot       bool
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// SpaceRequest begins the requests of invitations to the rooms of a space.
const SpaceRequest = "space:"

// Compare orders the rooms of a space (https://spec.matrix.org/latest/client-server-api/#ordering-of-children-within-a-space).
func (l SpaceLink) Compare(other SpaceLink) int {
	switch {
	case l.Order != "" && other.Order == "":
		return -1
	case l.Order == "" && other.Order != "":
		return 1
	}
	return cmp.Or(cmp.Compare(l.Order, other.Order), cmp.Compare(l.At, other.At), cmp.Compare(l.Room, other.Room))
}
