// Package room judges whether a Matrix room allows an action: the authorization rules of room versions 1 to 12
// (https://spec.matrix.org/latest/rooms/), pure and without a network. A caller collects the state
// named by Needs, builds a Snapshot of it, and asks Authorize.
package room

import (
	"encoding/json"
	"math"

	"maunium.net/go/mautrix/id"
)

// Verdict is the outcome of a judgement. The zero value denies.
type Verdict uint8

// The three verdicts.
const (
	Deny    Verdict = iota // a rule rejects, or nothing was judged
	Unknown                // the state given does not suffice to tell
	Allow                  // a rule allows
)

// Rule is a stable reason code, such as "invite.power"; the list is in docs/check.md.
type Rule string

// Key names a piece of room state.
type Key struct{ Type, StateKey string }

// Event is a state event as a homeserver gave it. ID may be empty where nobody asks for it.
type Event struct {
	ID      id.EventID
	Sender  id.UserID
	Content json.RawMessage
	// RedactedBy is the user who redacted the event; empty: nobody, as far as the homeserver says.
	RedactedBy id.UserID
}

// State is the known state of a room. An absent key is unknown, unless Complete; a key with a nil event is
// known to have no such state event.
type State struct {
	Version  id.RoomVersion // empty: taken from the create event
	Events   map[Key]*Event
	Complete bool // every key not in Events is known to be absent
}

// Level is a power level.
type Level int64

// Infinite is the power of a room creator from room version 12 on.
const Infinite Level = math.MaxInt64

// ActionType is the kind of an action.
type ActionType string

// The actions judged by Authorize.
const (
	Invite         ActionType = "invite"
	Join           ActionType = "join"
	Knock          ActionType = "knock"
	Leave          ActionType = "leave"
	Kick           ActionType = "kick"
	Ban            ActionType = "ban"
	Unban          ActionType = "unban"
	ThirdParty     ActionType = "third_party_invite" // sending m.room.third_party_invite
	SetJoinRules   ActionType = "set_join_rules"
	SetPowerLevels ActionType = "set_power_levels"
)

// Action is one change by Sender to Target (the sender itself for join, knock, leave).
type Action struct {
	Type           ActionType
	Sender, Target id.UserID
	Content        json.RawMessage // extra content keys, or the whole content for Set…; may be nil
	PrevIsCreate   bool            // the only previous event is the create event
}

// Evidence tells which state event decided, with the value found and the value needed.
type Evidence struct {
	Key           Key    // deciding state event; zero when none did
	Had, Needed   Level  // power levels; both zero when power did not decide
	Found, Wanted string // membership or join rule found, and the one needed; empty when not relevant
	User          id.UserID
}

// Result is a verdict with its rule and the evidence for it.
type Result struct {
	Verdict  Verdict
	Rule     Rule
	Evidence Evidence
}
