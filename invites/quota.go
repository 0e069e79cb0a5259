package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Spending is one invitation counted against quotas.
type Spending struct {
	Actor  id.UserID
	Server string // the actor's
	At     time.Time
}

// SpentBy limits a read to one actor, or to the users of one server; empty: to nobody.
type SpentBy struct {
	Actor  id.UserID
	Server string
}

// Spent lists the invitations counted in a room, the oldest first.
type Spent struct {
	Version int64 // names it in a Charge
	List    []Spending
}

// Charge counts invitations against quotas, in the commit with their rows.
type Charge struct {
	Room    id.RoomID
	Version int64 // of the Spent used for the judgement
	Server  string
	At      time.Time
	For     []Change
}
