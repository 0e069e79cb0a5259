package encryption

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/store"
)

// rooms knows which rooms are encrypted, and which users have the key of the bot's outbound session in a room. It is the library's state
// store, too.
type rooms struct {
	source  Rooms
	keys    *store.Keys
	history bool // Options.History
	log     zerolog.Logger

	mu        sync.Mutex
	encrypted map[id.RoomID]json.RawMessage // content of m.room.encryption; a room in here is never taken for a plain room again
	outbound  map[id.RoomID]*outbound
	lookedUp  map[id.UserID]time.Time // when the devices of a user were looked up
}

// machineRooms is rooms for the library's machine.
type machineRooms struct {
	*rooms
	wire *wire
}

var _ crypto.StateStore = machineRooms{}

// FindSharedRooms implements crypto.StateStore. The library calls it for a user with a new or lost device, to end the outbound sessions
// of the returned rooms. It returns none and marks these sessions as stale, except the session under way with these devices.
func (m machineRooms) FindSharedRooms(_ context.Context, user id.UserID) ([]id.RoomID, error) {
	var making id.RoomID
	if m.wire.answers != nil {
		making = m.wire.answers.room
	}
	m.devicesChanged([]id.UserID{user}, making)
	return nil, nil
}

// outbound is the outbound Megolm session of a room, with the users holding its key.
type outbound struct {
	holders    map[id.UserID]bool
	visibility *event.HistoryVisibilityEventContent
	key        event.Content // m.room_key content with the key from the session's first event on
	stale      bool          // the room has changed, so the next event needs a new session
	made       chan struct{} // closed once the session is there, or could not be made
}

// invalidate marks the session of a room as stale.
func (s *rooms) invalidate(r id.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.outbound[r]; o != nil {
		o.stale = true
	}
}

// spoil marks a session as stale.
func (s *rooms) spoil(o *outbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.stale = true
}

// invalidateAll marks the sessions of all rooms as stale.
func (s *rooms) invalidateAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outbound {
		o.stale = true
	}
}

// forgetOutbound drops all sessions.
func (s *rooms) forgetOutbound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.outbound)
}

// isLatest reports whether o is still the session of a room.
func (s *rooms) isLatest(r id.RoomID, o *outbound) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outbound[r] == o
}

// renew returns the session of a room if it is fit. Else it returns the next session with ours set: the caller makes the session and
// closes made. The next session is registered at once, so a change of the room from then on makes it stale. If another goroutine is
// making a session, renew waits for it: until then there is only the session before, and other users may have its key.
func (s *rooms) renew(ctx context.Context, r id.RoomID) (o *outbound, ours bool, err error) {
	for {
		s.mu.Lock()
		now := s.outbound[r]
		if now == nil || now.stale {
			next := &outbound{made: make(chan struct{})}
			s.outbound[r] = next
			s.mu.Unlock()
			return next, true, nil
		}
		s.mu.Unlock()
		select {
		case <-now.made:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		s.mu.Lock()
		fit := s.outbound[r] == now && !now.stale
		s.mu.Unlock()
		if fit {
			return now, false, nil
		}
	}
}

// settings returns the content of a room's m.room.encryption event, or nil for a plain room. A room once encrypted stays so, even if
// its state says otherwise later.
func (s *rooms) settings(ctx context.Context, r id.RoomID) (json.RawMessage, error) {
	now, err := s.source.Content(ctx, r, "m.room.encryption")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	before, known := s.encrypted[r]
	s.mu.Unlock()
	if now == nil || known && string(now) == string(before) {
		return before, nil
	}
	if err := s.keys.SaveEncryptedRoom(ctx, r, now); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.encrypted[r] = now
	return now, nil
}

// invitedTime bounds the request for the list of invited users.
const invitedTime = 3 * time.Second

// findHolders sets the users allowed to have the key of a session: the members, and the invited users if the room lets them see events
// from before they join (https://spec.matrix.org/latest/client-server-api/#room-history-visibility). It returns them sorted.
func (s *rooms) findHolders(ctx context.Context, r id.RoomID, o *outbound) ([]id.UserID, error) {
	raw, err := s.source.Content(ctx, r, "m.room.history_visibility")
	if err != nil {
		return nil, err
	}
	holders := map[id.UserID]bool{}
	visibility := &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityShared}
	if set := exactjson.Text(raw, "history_visibility"); set != "" {
		visibility.HistoryVisibility = event.HistoryVisibility(set)
	}
	if visibility.HistoryVisibility != event.HistoryVisibilityJoined { // asked first: a user who joins meanwhile is on one of the two lists at least
		for _, user := range s.invited(ctx, r) {
			holders[user] = true
		}
	}
	joined, err := s.source.Members(ctx, r, "join")
	if err != nil {
		return nil, err
	}
	for _, user := range joined {
		holders[user] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o.holders, o.visibility = holders, visibility
	return slices.Sorted(maps.Keys(holders)), nil
}

// invited returns the invited users. An event of the bot neither fails nor waits long for users not in the room yet.
func (s *rooms) invited(ctx context.Context, r id.RoomID) []id.UserID {
	ctx, cancel := context.WithTimeout(ctx, invitedTime)
	defer cancel()
	users, err := s.source.Members(ctx, r, "invite")
	if err != nil {
		s.log.Warn().Err(err).Stringer("room", r).Msg("the invited users are unknown and get no key")
	}
	return users
}

// historyOpen reports whether later members may see earlier events. An unknown visibility counts as closed, though
// the specification and the library take it for open.
func (s *rooms) historyOpen(ctx context.Context, r id.RoomID) (bool, error) {
	raw, err := s.source.Content(ctx, r, "m.room.history_visibility")
	if err != nil || raw == nil {
		return err == nil, err // the default is "shared"
	}
	visibility := exactjson.Text(raw, "history_visibility")
	return visibility == string(event.HistoryVisibilityShared) || visibility == string(event.HistoryVisibilityWorldReadable), nil
}

// IsEncrypted implements crypto.StateStore.
func (s *rooms) IsEncrypted(_ context.Context, r id.RoomID) (bool, error) {
	return s.isEncrypted(r), nil
}

// GetEncryptionEvent implements crypto.StateStore.
func (s *rooms) GetEncryptionEvent(_ context.Context, r id.RoomID) (*event.EncryptionEventContent, error) {
	s.mu.Lock()
	raw, known := s.encrypted[r]
	s.mu.Unlock()
	if !known {
		return nil, nil
	}
	return &event.EncryptionEventContent{ // zero stands for the default
		Algorithm:              id.Algorithm(exactjson.Text(raw, "algorithm")),
		RotationPeriodMillis:   exactjson.Get(raw, "rotation_period_ms").Int(),
		RotationPeriodMessages: int(exactjson.Get(raw, "rotation_period_msgs").Int()),
	}, nil
}

// GetHistoryVisibility implements crypto.StateStore. Without a visibility, the library does not mark a key as fit for sharing.
func (s *rooms) GetHistoryVisibility(_ context.Context, r id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.outbound[r]; o != nil && s.history {
		return o.visibility, nil
	}
	return nil, nil
}

// devicesChanged marks the sessions with a key held by one of the users as stale, except the session of one room.
func (s *rooms) devicesChanged(users []id.UserID, except id.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		delete(s.lookedUp, user)
	}
	for r, o := range s.outbound {
		if r != except && slices.ContainsFunc(users, func(user id.UserID) bool { return o.holders[user] }) {
			o.stale = true
		}
	}
}

// startLookUp reports whether the devices of a user have to be looked up, and notes the look-up.
func (s *rooms) startLookUp(user id.UserID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.lookedUp[user].Add(lookUpPause)) {
		return false
	}
	if s.lookedUp == nil || len(s.lookedUp) >= maxMet {
		s.lookedUp = map[id.UserID]time.Time{}
	}
	s.lookedUp[user] = now
	return true
}

// holds reports whether a user may have the key of a session, and whether the session is stale.
func (s *rooms) holds(user id.UserID, o *outbound) (holds, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.holders[user], o.stale
}

// mayRead reports whether a user may have the key of an outbound session.
func (s *rooms) mayRead(user id.UserID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outbound {
		if o.holders[user] {
			return true
		}
	}
	return false
}

// isEncrypted reports whether a room is known to be encrypted.
func (s *rooms) isEncrypted(r id.RoomID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.encrypted[r]
	return known
}
