package bot

import (
	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/room"
)

// watchers are the caches of rooms.
type watchers struct{ *bot }

// Changed implements appservice.Watcher.
func (b watchers) Changed(r id.RoomID, k room.Key) {
	b.state.Changed(r, k)
	b.chat.Rooms.Changed(r, k)
	if k == room.MemberKey(b.self.Bot) {
		b.rooms.Changed(r)
	}
	if events.Invalidated(k)&events.Keys != 0 && b.device != nil {
		b.device.Invalidate(r)
	}
}

// Invalidate implements appservice.Watcher.
func (b watchers) Invalidate(r id.RoomID) {
	b.state.Invalidate(r)
	b.chat.Rooms.Invalidate(r)
	b.rooms.Changed(r)
	if b.device != nil {
		b.device.Invalidate(r)
	}
}

// InvalidateAll implements appservice.Watcher.
func (b watchers) InvalidateAll() {
	b.state.InvalidateAll()
	b.chat.Rooms.Invalidate("")
	b.rooms.Changed("")
	if b.device != nil {
		b.device.InvalidateAll()
	}
}

// Forget implements appservice.Watcher.
func (b watchers) Forget(r id.RoomID, event id.EventID, suspects ...room.Key) []room.Key {
	return b.state.Forget(r, event, suspects...)
}
