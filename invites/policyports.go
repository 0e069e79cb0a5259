package invites

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Spending is one invitation that counts against quotas.
type Spending struct {
	Actor  id.UserID
	Server string // the actor's
	At     time.Time
}

// SpentBy limits what is read: to one actor, or to one server's people, or, where both are empty, to nobody.
type SpentBy struct {
	Actor  id.UserID
	Server string
}

// Spent is what was spent in a room, oldest first.
type Spent struct {
	Version int64 // names it in a Charge
	List    []Spending
}

// Charge spends for invitations, in the commit that records them.
type Charge struct {
	Room    id.RoomID
	Version int64 // of the Spent that it was judged on
	Server  string
	At      time.Time
	For     []Change
}

// SpaceChild is a space's claim that a room belongs to it.
type SpaceChild struct{ Space, Child id.RoomID }

// StateEvent is a state event with what came before it.
type StateEvent struct {
	room.Key
	room.Event
	SentAt   time.Time       // origin_server_ts: as the sender's server says
	Before   json.RawMessage // content of the event that it replaced; nil: there was none, or it is not known
	Replaces id.EventID      // that event; empty: none, or not known
	Hidden   bool            // nothing of what came before it can be seen
}

// StateChange is one state event of a collection; Event is nil where it is gone.
type StateChange struct {
	Key   room.Key
	Event *room.Event
}

// Records is what policies need of the homeserver besides a room's state. Errors are those of Homeserver.
type Records interface {
	// SendState sets a piece of state as a user: a local one by identity assertion, or the bot.
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
	// StateEvent returns a state event, current or past, read as in Snapshot.
	StateEvent(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (StateEvent, error)
	// CurrentEvent returns the event of a piece of state as it is now, also where the room's history is not for the bot to
	// see; with Hidden set.
	CurrentEvent(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key) (StateEvent, error)
	// History returns the last events of one piece of state, newest first, read as in Snapshot.
	History(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key, limit int) ([]StateEvent, error)
	// MemberCount returns how many are joined to a room, or, where that is cheaper, a number that it is at most and that is
	// below enough.
	MemberCount(ctx context.Context, r id.RoomID, viewer id.UserID, enough int64) (int64, error)
	// Collect returns the state events of some types in a room that the bot is in: all of them where whole is true, else
	// what changed since the last call for the same room, which the caller must have. Calls for one room must not overlap.
	Collect(ctx context.Context, r id.RoomID, types []string, have bool) (changes []StateChange, whole bool, err error)
	// Spaces returns the rooms that claimed a room as their child. What they say now is in their state.
	Spaces(r id.RoomID) []id.RoomID
}
