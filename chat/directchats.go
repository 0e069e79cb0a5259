package chat

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// AccountData reads and writes the bot's own account data at the homeserver.
type AccountData interface {
	AccountData(ctx context.Context, kind string) (json.RawMessage, error)
	SetAccountData(ctx context.Context, kind string, content any) error
}

// DirectChats knows which rooms are direct chats with the bot. The record is the bot's m.direct account data
// (https://spec.matrix.org/latest/client-server-api/#direct-messaging), since a room itself does not tell.
type DirectChats struct {
	homeserver AccountData

	adding sync.Mutex // held while the homeserver stores the record: no addition overwrites another
	mu     sync.Mutex
	byUser map[id.UserID][]id.RoomID
	rooms  map[id.RoomID]id.UserID // the other person
}

// NewDirectChats makes an empty set.
func NewDirectChats(homeserver AccountData) *DirectChats {
	return &DirectChats{homeserver: homeserver, byUser: map[id.UserID][]id.RoomID{}, rooms: map[id.RoomID]id.UserID{}}
}

// Load adds the rooms of the record.
func (d *DirectChats) Load(ctx context.Context) error {
	raw, err := d.homeserver.AccountData(ctx, "m.direct")
	if err != nil {
		return err
	}
	for user, rooms := range exactjson.Members(raw) { // the next direct chat overwrites all else
		for r := range exactjson.Items(rooms) {
			if r := exactjson.Text(r); r != "" {
				d.note(id.UserID(user), id.RoomID(r))
			}
		}
	}
	return nil
}

// mostDirect is how many direct chats of one person are kept. Older ones are rooms as all others.
const mostDirect = 10

// note adds a direct chat on record.
func (d *DirectChats) note(with id.UserID, r id.RoomID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rooms[r] != "" {
		return
	}
	d.byUser[with] = append(d.byUser[with], r)
	d.rooms[r] = with
	for len(d.byUser[with]) > mostDirect {
		d.drop(d.byUser[with][0])
	}
}

// forget drops a room that the bot has left. The next addition drops it from the record at the homeserver, too.
func (d *DirectChats) forget(r id.RoomID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(r)
}

// drop is forget with the lock held.
func (d *DirectChats) drop(r id.RoomID) {
	with := d.rooms[r]
	if with == "" {
		return
	}
	delete(d.rooms, r)
	if d.byUser[with] = slices.DeleteFunc(slices.Clone(d.byUser[with]), func(one id.RoomID) bool { return one == r }); len(d.byUser[with]) == 0 {
		delete(d.byUser, with)
	}
}

// with returns the person of a direct chat, empty for any other room.
func (d *DirectChats) with(r id.RoomID) id.UserID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rooms[r]
}

// of returns the direct chats of a person, the last one first.
func (d *DirectChats) of(user id.UserID) []id.RoomID {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Clone(d.byUser[user])
	slices.Reverse(list)
	return list
}

// has reports whether a room is a direct chat.
func (d *DirectChats) has(r id.RoomID) bool { return d.with(r) != "" }

// add records a direct chat.
func (d *DirectChats) add(ctx context.Context, with id.UserID, r id.RoomID) error {
	d.adding.Lock()
	defer d.adding.Unlock()
	if d.has(r) {
		return nil
	}
	if err := d.homeserver.SetAccountData(ctx, "m.direct", d.and(with, r)); err != nil {
		return err
	}
	d.note(with, r)
	return nil
}

// and returns the record with one direct chat more.
func (d *DirectChats) and(with id.UserID, r id.RoomID) map[id.UserID][]id.RoomID {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := maps.Clone(d.byUser)
	if !slices.Contains(next[with], r) {
		next[with] = append(slices.Clone(next[with]), r)
		next[with] = next[with][max(0, len(next[with])-mostDirect):]
	}
	return next
}
