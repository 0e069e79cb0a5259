package invites

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Clock tells the time.
type Clock interface{ Now() time.Time }

// Queue wakes delivery. A wake-up carries keys of rows, no facts, and may come twice.
type Queue interface {
	// Wake asks for the delivery of each row at the given time or soon after.
	Wake(ctx context.Context, at time.Time, rows ...int64) error
}

// Identity says which users Usher may act as.
type Identity struct {
	Bot      id.UserID
	Domain   string               // server name of the homeserver
	Assert   bool                 // a second registration allows acting as local users
	AutoJoin func(id.UserID) bool // local users joining as soon as they are invited; nil: nobody
	Language string               // tag of the language of the bot where nothing else is chosen; empty: English
}

// MayAssert reports whether Usher may act as a user by identity assertion.
func (i Identity) MayAssert(user id.UserID) bool {
	return i.Assert && user != i.Bot && user.Homeserver() == i.Domain
}

// Performer chooses the sender of a change: the target for a join or a knock, the actor where Usher may act as the actor, else the
// bot. With asBot, the bot sends also in place of an actor.
func (i Identity) Performer(action room.ActionType, actor, target id.UserID, asBot bool) id.UserID {
	switch {
	case action == room.Join, action == room.Knock:
		return target
	case !asBot && i.MayAssert(actor):
		return actor
	}
	return i.Bot
}

// SpaceChild is the claim of a space to a room.
type SpaceChild struct {
	Space, Child id.RoomID
	Governs      bool // the room was seen to inherit a policy from the space
}

// StateEvent is a state event with the event before it.
type StateEvent struct {
	room.Key
	room.Event
	SentAt   time.Time       // origin_server_ts, by the clock of the sender's server
	Before   json.RawMessage // content of the replaced event; nil: none, or unknown
	Replaces id.EventID      // the replaced event; empty: none, or unknown
	Hidden   bool            // nothing before it can be seen

	RedactedAt time.Time // origin_server_ts of the redaction, if RedactedBy is set
}

// Changed returns who gave the event its content, and when: its sender, or the user who redacted it.
func (e StateEvent) Changed() (by id.UserID, at time.Time) {
	if e.RedactedBy != "" {
		return e.RedactedBy, e.RedactedAt
	}
	return e.Sender, e.SentAt
}

// StateChange is one state event of a collection; Event is nil where the state is gone.
type StateChange struct {
	Key   room.Key
	Event *room.Event
}

// MemberEventID returns the id of the event of a user's membership; empty without one.
func MemberEventID(snap *room.Snapshot, user id.UserID) id.EventID {
	if event, _ := snap.Event(room.MemberKey(user)); event != nil {
		return event.ID
	}
	return ""
}
