package bot

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// following begins the reason of a join by which the bot followed a room, whose id is the rest, to what its tombstone names. So the
// join's event itself says what is still to be looked at, after a crash and on every replica.
const following = "Following the upgrade of "

// follow joins the room that replaces another, as the other has it now. A room that the bot is in already is none to be looked at:
// anybody's tombstone may name it. Whether the new room agrees it says only from within (mayStay).
func (b *bot) follow(ctx context.Context, ev invites.Received) error {
	log := b.log.With().Stringer("room", ev.Room).Logger()
	now, err := b.state.CurrentEvent(ctx, ev.Room, b.self.Bot, room.Key{Type: room.TypeTombstone})
	if err != nil {
		return invites.UnlessRefused(err)
	}
	successor := id.RoomID(exactjson.Text(now.Event.Content, "replacement_room"))
	if now.Event.ID != ev.Event || successor == "" {
		log.Info().Stringer("event", ev.Event).Msg("a tombstone that does not stand, or names no room, is not followed")
		return nil
	}
	in, err := b.client.JoinedRooms(ctx)
	if err != nil || slices.Contains(in, successor) {
		return invites.UnlessRefused(err)
	}
	err = b.state.Act(ctx, invites.Effect{
		Action: room.Join, Room: successor, Via: []string{ev.Sender.Homeserver()}, Performer: b.self.Bot, Target: b.self.Bot,
		Reason: following + ev.Room.String(),
	})
	return invites.UnlessRefused(err)
}

// mayStay looks whether a room that the bot was led to is the one that replaces the old one: its create event must name that as its
// predecessor (https://spec.matrix.org/latest/client-server-api/#room-upgrades). The bot leaves any other at once, before
// it does anything there.
func (b *bot) mayStay(ctx context.Context, r, old id.RoomID) (bool, error) {
	log := b.log.With().Stringer("room", old).Stringer("successor", r).Logger()
	create, err := b.state.CurrentEvent(ctx, r, b.self.Bot, room.Key{Type: room.TypeCreate})
	if invites.UnlessRefused(err) != nil {
		return false, err
	}
	if err == nil && exactjson.Text(create.Event.Content, "predecessor", "room_id") == old.String() {
		log.Info().Msg("followed a room to its successor")
		return true, nil
	}
	log.Warn().Msg("leaving a room that a tombstone led me to: it does not say that it replaces the other")
	return false, invites.UnlessRefused(b.move(ctx, room.Leave, r, nil))
}
