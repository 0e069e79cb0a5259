package bot

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// linked remembers that spaces claimed rooms, before the homeserver hears that their events arrived.
func (b *bot) linked(ctx context.Context, claims []invites.SpaceChild) error {
	// Kept first: a claim that memory has is one that the store has.
	if err := b.store.SaveSpaceChildren(ctx, claims); err != nil {
		return err
	}
	b.state.Link(claims)
	return nil
}

// recallSpaces hands what the store has of spaces to the cache.
func (b *bot) recallSpaces(ctx context.Context) error {
	claims, err := b.store.SpaceChildren(ctx)
	b.state.Link(claims)
	return err
}

// adopt looks what a room that the bot has joined holds, if it is a space: it might have a policy for them.
func (b *bot) adopt(ctx context.Context, r id.RoomID) {
	claims, err := b.state.Children(ctx, r)
	if err == nil {
		err = b.linked(ctx, claims)
	}
	if err != nil {
		b.log.Warn().Err(err).Stringer("room", r).Msg("could not look which rooms a space holds")
	}
}

// policyChanged has the guards look at a room whose policy changed. It tells the author of a policy that can't be read what is wrong with
// the policy, once, since an event is handled once.
func (b *bot) policyChanged(ctx context.Context, ev invites.Received) error {
	_, err := policy.Parse(exactjson.Find(ev.Raw, "content"))
	var malformed policy.Malformed
	if !errors.As(err, &malformed) {
		return b.regard(ctx, ev.Room)
	}
	b.log.Warn().Err(err).Stringer("room", ev.Room).Stringer("event", ev.Event).Msg("a policy can't be read")
	_, err = b.send(ctx, ev.Room, transaction(ev.Event, "malformed"), room.TypeMessage, b.runner.Malformed(ev.Sender, malformed))
	return errors.Join(err, b.regard(ctx, ev.Room))
}
