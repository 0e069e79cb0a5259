package bot

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"
)

// accountData reads and writes the bot's own account data on the homeserver.
type accountData interface {
	AccountData(ctx context.Context, kind string) (json.RawMessage, error)
	SetAccountData(ctx context.Context, kind string, content any) error
}

// directs remembers which rooms are direct chats with the bot. The record is the bot's m.direct account data
// (https://spec.matrix.org/latest/client-server-api/#direct-messaging), since a room itself does not tell.
type directs struct {
	homeserver accountData

	adding sync.Mutex // held while the homeserver is told, so that nobody overwrites another's
	mu     sync.Mutex
	byUser map[id.UserID][]id.RoomID
	rooms  map[id.RoomID]bool
}

// load reads what is on record.
func (d *directs) load(ctx context.Context) error {
	raw, err := d.homeserver.AccountData(ctx, "m.direct")
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byUser, d.rooms = map[id.UserID][]id.RoomID{}, map[id.RoomID]bool{}
	_ = json.Unmarshal(raw, &d.byUser) // whatever else is there is overwritten with the next direct chat
	for _, rooms := range d.byUser {
		for _, r := range rooms {
			d.rooms[r] = true
		}
	}
	return nil
}

// has reports whether a room is a direct chat.
func (d *directs) has(r id.RoomID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rooms[r]
}

// add records a direct chat.
func (d *directs) add(ctx context.Context, with id.UserID, r id.RoomID) error {
	d.adding.Lock()
	defer d.adding.Unlock()
	if d.has(r) {
		return nil
	}
	d.mu.Lock()
	next := d.and(with, r)
	d.mu.Unlock()
	if err := d.homeserver.SetAccountData(ctx, "m.direct", next); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byUser, d.rooms[r] = d.and(with, r), true // what is known may have been read anew meanwhile
	return nil
}

// and returns what is known and one direct chat more. d.mu is held.
func (d *directs) and(with id.UserID, r id.RoomID) map[id.UserID][]id.RoomID {
	next := make(map[id.UserID][]id.RoomID, len(d.byUser)+1)
	maps.Copy(next, d.byUser)
	if !slices.Contains(next[with], r) {
		next[with] = append(slices.Clone(next[with]), r)
	}
	return next
}
