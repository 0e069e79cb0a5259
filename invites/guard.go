package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Round is one time that a drift was set back.
type Round struct {
	Event id.EventID `json:"event"` // made the drift
	At    time.Time  `json:"at"`
}

// Watch is the memory of the guard about one room.
type Watch struct {
	Room    id.RoomID
	Policy  string   // names the policy events that the rounds were fought under
	Rounds  []Round  // within the window, oldest first
	Stopped bool     // too many rounds: nothing is set back until the policy changes
	Told    []string // reports on drifts that were left, so that each is told once
}
