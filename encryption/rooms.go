package encryption

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// rooms is what is known of rooms. Device.state guards it.
type rooms struct {
	encrypted map[id.RoomID]json.RawMessage // content of m.room.encryption; a room in here is never taken for a plain one again
	sent      map[id.RoomID]*sent           // rooms with a session to send with
}

// sent is who has the key to what the bot says in a room.
type sent struct {
	to         map[id.UserID]bool
	visibility *event.HistoryVisibilityEventContent
	stale      bool          // the room has changed, so the next thing said needs a new key
	made       chan struct{} // closed when the session is there, or could not be made
}

func newRooms(encrypted map[id.RoomID]json.RawMessage) rooms {
	return rooms{encrypted: encrypted, sent: map[id.RoomID]*sent{}}
}

// Changed is told of every state event in the stream. Who is in a room decides who may read the bot's answers.
func (d *Device) Changed(r id.RoomID, eventType string) {
	switch eventType {
	case "m.room.member", "m.room.encryption", "m.room.history_visibility":
		d.Invalidate(r)
	}
}

// Invalidate forgets who has the key to what the bot says in a room.
func (d *Device) Invalidate(r id.RoomID) {
	d.state.Lock()
	defer d.state.Unlock()
	if s := d.rooms.sent[r]; s != nil {
		s.stale = true
	}
}

// settings returns the content of a room's m.room.encryption event, or nil where messages go unencrypted. The room says so
// itself, or was known for it before.
func (d *Device) settings(ctx context.Context, r id.RoomID) (json.RawMessage, error) {
	now, err := d.o.Rooms.Content(ctx, r, "m.room.encryption")
	if err != nil {
		return nil, err
	}
	d.state.Lock()
	before, known := d.rooms.encrypted[r]
	d.state.Unlock()
	if now == nil || known && string(now) == string(before) {
		return before, nil
	}
	if err := d.o.Keys.SaveEncryptedRoom(ctx, r, now); err != nil {
		return nil, err
	}
	d.state.Lock()
	defer d.state.Unlock()
	d.rooms.encrypted[r] = now
	return now, nil
}

// invitedTime is how long the list of the invited is waited for.
const invitedTime = 3 * time.Second

// audience returns who gets the keys to what the bot says in a room: members, and people invited to it where they are to see
// what was said before they join (https://spec.matrix.org/latest/client-server-api/#room-history-visibility).
func (d *Device) audience(ctx context.Context, r id.RoomID) (*sent, error) {
	raw, err := d.o.Rooms.Content(ctx, r, "m.room.history_visibility")
	if err != nil {
		return nil, err
	}
	s := &sent{to: map[id.UserID]bool{}, visibility: &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityShared}}
	_ = json.Unmarshal(raw, s.visibility) // without one, it is "shared"
	joined, err := d.o.Rooms.Members(ctx, r, "join")
	if err != nil {
		return nil, err
	}
	for _, user := range joined {
		s.to[user] = true
	}
	if s.visibility.HistoryVisibility == event.HistoryVisibilityJoined {
		return s, nil
	}
	// The answer does not wait for long, nor fail, for the sake of people who are not in the room yet.
	short, cancel := context.WithTimeout(ctx, invitedTime)
	defer cancel()
	invited, err := d.o.Rooms.Members(short, r, "invite")
	if err != nil {
		d.log.Warn().Err(err).Stringer("room", r).Msg("who is invited could not be asked: they won't be able to read what is said before they join")
	}
	for _, user := range invited {
		s.to[user] = true
	}
	return s, nil
}

// stateStore shows rooms to the library.
type stateStore struct{ *Device }

var _ crypto.StateStore = stateStore{}

// IsEncrypted implements crypto.StateStore.
func (d stateStore) IsEncrypted(_ context.Context, r id.RoomID) (bool, error) {
	d.state.Lock()
	defer d.state.Unlock()
	_, known := d.rooms.encrypted[r]
	return known, nil
}

// GetEncryptionEvent implements crypto.StateStore.
func (d stateStore) GetEncryptionEvent(_ context.Context, r id.RoomID) (*event.EncryptionEventContent, error) {
	d.state.Lock()
	raw, known := d.rooms.encrypted[r]
	d.state.Unlock()
	if !known {
		return nil, nil
	}
	var content event.EncryptionEventContent
	_ = json.Unmarshal(raw, &content) // what can't be read is the default
	return &content, nil
}

// GetHistoryVisibility implements crypto.StateStore. Without one, the library leaves open whether a key may be passed on.
func (d stateStore) GetHistoryVisibility(_ context.Context, r id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	d.state.Lock()
	defer d.state.Unlock()
	if s := d.rooms.sent[r]; s != nil && d.o.History {
		return s.visibility, nil
	}
	return nil, nil
}

// FindSharedRooms implements crypto.StateStore: rooms whose key a user's new or lost device makes stale.
func (d stateStore) FindSharedRooms(_ context.Context, user id.UserID) ([]id.RoomID, error) {
	d.state.Lock()
	defer d.state.Unlock()
	var found []id.RoomID
	for _, r := range slices.Collect(maps.Keys(d.rooms.sent)) {
		if d.rooms.sent[r].to[user] {
			found = append(found, r)
		}
	}
	return found, nil
}
