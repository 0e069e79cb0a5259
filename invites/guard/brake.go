package guard

import (
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// listBrake is how many invitations the guard withdraws in one room within guardWindow because of policy lists. The keeper of a list is
// seldom an admin of the room: a rule that suddenly matches everybody must not empty it.
const listBrake = 20

// brake counts the withdrawals because of policy lists, by room. The zero value is ready. A restart starts anew.
type brake struct {
	mu    sync.Mutex
	rooms map[id.RoomID][]withdrawn
}

type withdrawn struct {
	event id.EventID
	at    time.Time
}

// allow counts one withdrawal and reports whether it is within the limit. An event counts once.
func (b *brake) allow(r id.RoomID, event id.EventID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []withdrawn
	for _, w := range b.rooms[r] {
		if w.event == event {
			return true
		}
		if w.at.After(now.Add(-guardWindow)) {
			list = append(list, w)
		}
	}
	allowed := len(list) < listBrake
	if allowed {
		list = append(list, withdrawn{event, now})
	}
	if b.rooms == nil {
		b.rooms = map[id.RoomID][]withdrawn{}
	}
	b.rooms[r] = list
	return allowed
}
