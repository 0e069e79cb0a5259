package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Round is one restoration of a drifted state.
type Round struct {
	Event id.EventID `json:"event"` // made the drift
	At    time.Time  `json:"at"`
}

// Watch is the memory of the guard about one room.
type Watch struct {
	Room    id.RoomID
	Policy  string   // names the policy events in force during the rounds
	Rounds  []Round  // within the window, oldest first
	Stopped bool     // too many rounds: nothing is set back until the policy changes
	Told    []string // reports on drifts left alone, so each is told once
}
