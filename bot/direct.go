package bot

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
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

// load reads what is on record. What is known stays so: it may be on record since.
func (d *directs) load(ctx context.Context) error {
	raw, err := d.homeserver.AccountData(ctx, "m.direct")
	if err != nil {
		return err
	}
	for user, rooms := range exactjson.Members(raw) { // the next direct chat overwrites all else
		for r := range exactjson.Items(rooms) {
			if r := exactjson.Text(r); r != "" {
				d.heard(id.UserID(user), id.RoomID(r))
			}
		}
	}
	return nil
}

// heard notes a direct chat that is on record.
func (d *directs) heard(with id.UserID, r id.RoomID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rooms == nil {
		d.byUser, d.rooms = map[id.UserID][]id.RoomID{}, map[id.RoomID]bool{}
	}
	if !slices.Contains(d.byUser[with], r) {
		d.byUser[with] = append(d.byUser[with], r)
	}
	d.rooms[r] = true
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
	d.heard(with, r)
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
