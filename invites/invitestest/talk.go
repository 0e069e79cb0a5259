package invitestest

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Said is the type of an event that makes its state key a user who spoke in a room; the last one put there spoke last.
const Said = "said"

// Talk is who spoke in the rooms of a model homeserver, and when people joined.
type Talk struct{ Model *Homeserver }

// Speakers implements moves.Activity.
func (t Talk) Speakers(_ context.Context, r id.RoomID, _ id.UserID, among []id.UserID) (spoke []id.UserID, err error) {
	t.Model.mu.Lock()
	defer t.Model.mu.Unlock()
	for _, user := range among {
		if t.Model.rooms[r][room.Key{Type: Said, StateKey: string(user)}] != nil {
			spoke = append(spoke, user)
		}
	}
	slices.SortFunc(spoke, func(a, b id.UserID) int { return t.at(r, Said, b).Compare(t.at(r, Said, a)) })
	return spoke, nil
}

// Joins implements moves.Activity.
func (t Talk) Joins(_ context.Context, r id.RoomID) (map[id.UserID]time.Time, error) {
	t.Model.mu.Lock()
	defer t.Model.mu.Unlock()
	dates := map[id.UserID]time.Time{}
	for k := range t.Model.rooms[r] {
		if k.Type == room.TypeMember {
			dates[id.UserID(k.StateKey)] = t.at(r, room.TypeMember, id.UserID(k.StateKey))
		}
	}
	return dates, nil
}

// at is the date of a user's event.
func (t Talk) at(r id.RoomID, kind string, user id.UserID) time.Time {
	return t.Model.past[t.Model.rooms[r][room.Key{Type: kind, StateKey: string(user)}].ID].SentAt
}
