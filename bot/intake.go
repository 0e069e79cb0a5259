package bot

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/invites"
	"usher/room"
)

// sink is the bot as the intake's sink.
type sink struct{ *bot }

// Deliver implements appservice.Sink.
func (b sink) Deliver(fresh []invites.Received) { b.feed.push(b.ctx, fresh) }

// Recover implements appservice.Sink.
func (b sink) Recover() {
	if err := b.feed.rewind(b.ctx); err != nil {
		b.log.Err(err).Msg("the inbox could not be read; it is tried again")
	}
}

// Linked implements appservice.Sink.
func (b sink) Linked(ctx context.Context, claims []invites.SpaceChild) error {
	return b.linked(ctx, claims)
}

// Left implements appservice.Sink.
func (b sink) Left(r id.RoomID) { b.left(r) }

// Guarded implements appservice.Sink.
func (b sink) Guarded(r id.RoomID) bool { return b.guard.Watches(r) }

// Claimed implements appservice.Sink.
func (b sink) Claimed(r id.RoomID) bool { return b.claimed(r) }

// watchers are the caches that follow the changes in rooms.
type watchers struct{ *bot }

// Changed implements appservice.Watcher.
func (b watchers) Changed(r id.RoomID, k room.Key) {
	b.state.Changed(r, k)
	caches := events.Invalidated(k)
	if caches&events.Rules != 0 {
		b.expiriesChanged.Store(true) // in any room: spaces pass their rules on
	}
	if caches&events.Power != 0 {
		b.runner.Advertiser.Look(r)
	}
	if caches&events.Keys != 0 && b.sealed.device != nil {
		b.sealed.device.Invalidate(r)
	}
}

// Invalidate implements appservice.Watcher.
func (b watchers) Invalidate(r id.RoomID) {
	b.state.Invalidate(r)
	if b.sealed.device != nil {
		b.sealed.device.Invalidate(r)
	}
}

// Forget implements appservice.Watcher.
func (b watchers) Forget(r id.RoomID, event id.EventID) { b.state.Forget(r, event) }
