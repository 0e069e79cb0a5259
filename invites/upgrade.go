package invites

import (
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// UpgradeRequest begins the key of an upgrade.
const UpgradeRequest = "upgrade:"

// Upgrade is the replacement of a room by another one, and how far it is carried over.
type Upgrade struct {
	ID        int64
	Old       id.RoomID
	New       id.RoomID  // empty: the homeserver was asked for it
	Actor     id.UserID  // each step is judged for: the user who asked for the upgrade, or the sender of the tombstone
	Performer id.UserID  // sends the upgrade; empty: somebody's client did
	Command   id.EventID // asks for the upgrade; empty: none
	Version   string     // of the new room; empty: a client chose it
	Step      int64      // number of steps that are done
	Rest      []string   // what is left of the current step
	Notes     []string   // phrases about the steps, as text
	DueAt     time.Time  // zero: nothing is left to do
	CreatedAt time.Time
}

// Key is the key of the cards and requests that carry the upgrade over, in place of an event's id.
func (u *Upgrade) Key() string { return UpgradeRequest + strconv.FormatInt(u.ID, 10) }

// Note adds a sentence about a step. The same one is kept once.
func (u *Upgrade) Note(p room.Phrase) {
	text := p.String()
	for _, had := range u.Notes {
		if had == text {
			return
		}
	}
	u.Notes = append(u.Notes, text)
}

// CodeReplaced is the reason code of work that ends with its room: another one has replaced it.
const CodeReplaced = "room.replaced"
