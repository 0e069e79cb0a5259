package homeserver

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// Bounds of one look at the activity in a room.
const (
	activityPages = 100
	activityPage  = 100 // events
	activityTakes = 20 * time.Second
)

// spoken are the types of the events by which people speak. Those of encrypted rooms name their senders, too.
var spoken = []string{"m.room.message", "m.room.encrypted", "m.sticker", "m.reaction"}

// Speakers returns the users among some who spoke in a room, the last one first, as a viewer sees its history, or the bot where it may not act for the
// viewer. It looks back a bounded way, and ends where it can't go on.
func (s *records) Speakers(ctx context.Context, r id.RoomID, viewer id.UserID, among []id.UserID) (spoke []id.UserID, err error) {
	silent := make(map[id.UserID]bool, len(among))
	for _, user := range among {
		silent[user] = true
	}
	if !s.client.CanAssert(viewer) {
		viewer = ""
	}
	bounded, cancel := context.WithTimeout(ctx, activityTakes)
	defer cancel()
	from := ""
	for range activityPages {
		page, next, err := s.client.Messages(bounded, r, viewer, spoken, from, activityPage)
		if err != nil {
			return spoke, ctx.Err()
		}
		for _, raw := range page {
			if user := id.UserID(exactjson.Text(raw, "sender")); silent[user] {
				delete(silent, user)
				spoke = append(spoke, user)
			}
		}
		if next == "" || next == from || len(silent) == 0 {
			break
		}
		from = next
	}
	return spoke, nil
}

// Joins returns the dates of the member events of the users in a room, as the bot sees them; none where they can't be read.
func (s *records) Joins(ctx context.Context, r id.RoomID) (map[id.UserID]time.Time, error) {
	bounded, cancel := context.WithTimeout(ctx, activityTakes)
	defer cancel()
	dates := map[id.UserID]time.Time{}
	_ = s.client.eachMember(bounded, r, "join", func(raw []byte, user id.UserID) {
		dates[user] = time.UnixMilli(exactjson.Get(raw, "origin_server_ts").Int())
	})
	return dates, ctx.Err()
}
