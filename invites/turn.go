package invites

import (
	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Priority says how soon the turn of a row comes.
type Priority uint8

// The priorities, the most urgent first.
const (
	PriorityUrgent Priority = iota // the guard, knocks, approved requests
	PriorityFew                    // requests for a few people
	PriorityBulk                   // all else
	Priorities                     // how many there are
)

// Turn tells from which shares of delivery an open row takes.
type Turn struct {
	Row      int64
	Priority Priority
	Actor    id.UserID
	Room     id.RoomID // where the rooms of one actor take turns, too; else empty
	Server   string    // the other server needed for the change; empty: none
}

// Waiting is the part of an open row which decides its turn.
type Waiting struct {
	ID     int64
	Origin Origin
	Action room.ActionType
	Room   id.RoomID
	Target id.UserID
	Actor  id.UserID
	Via    []string
	Size   int // rows of the same request, counted up to FewRows+1
}

// FewRows is the most rows of a request with PriorityFew.
const FewRows = 10
