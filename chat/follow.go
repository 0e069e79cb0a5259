package chat

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// following begins the reason of a join by which the bot followed a tombstone; the id of the old room is the rest. So the event of the
// join itself names the old room for the check after it, also after a crash.
const following = "Following the upgrade of "

// follow joins the successor of a room, as the room's current tombstone names it. The bot leaves rooms alone in which it is already:
// anybody's tombstone may name them. The new room itself shows whether it is the successor only after the join (mayStay).
func (m *Memberships) follow(ctx context.Context, ev invites.Received) error {
	log := m.log.With().Stringer("room", ev.Room).Logger()
	now, err := m.state.CurrentEvent(ctx, ev.Room, m.self.Bot, room.Key{Type: room.TypeTombstone})
	if err != nil {
		return invites.UnlessRefused(err)
	}
	successor := id.RoomID(exactjson.Text(now.Event.Content, "replacement_room"))
	if now.Event.ID != ev.Event || successor == "" {
		log.Info().Stringer("event", ev.Event).Msg("Tombstone ignored: replaced, or without a room")
		return nil
	}
	in, err := m.occupancy.JoinedRooms(ctx)
	if err != nil {
		return invites.UnlessRefused(err)
	}
	if slices.Contains(in, successor) {
		return m.rooms.upgraded(ctx, ev.Event, successor)
	}
	if m.runner.Level(ev.Sender) == commands.Nobody || !m.mayLead(ev.Sender, successor) {
		log.Warn().Stringer("sender", ev.Sender).Msg("Tombstone ignored: its sender may not lead the bot")
		return nil
	}
	err = m.act(ctx, invites.Effect{
		Action: room.Join, Room: successor, Via: []string{ev.Sender.Homeserver()}, Performer: m.self.Bot, Target: m.self.Bot,
		Reason: following + ev.Room.String(),
	})
	if time.Since(ev.ReceivedAt) > joinPatience {
		err = invites.UnlessRefused(err)
	}
	return err
}

// mayStay checks whether the room from a tombstone replaces the old room: its create event must name the old room as its predecessor
// (https://spec.matrix.org/latest/client-server-api/#room-upgrades). The bot leaves any other room at once, before it does anything there.
func (m *Memberships) mayStay(ctx context.Context, r, old id.RoomID) (bool, error) {
	log := m.log.With().Stringer("room", old).Stringer("successor", r).Logger()
	create, err := m.state.CurrentEvent(ctx, r, m.self.Bot, room.Key{Type: room.TypeCreate})
	if invites.UnlessRefused(err) != nil {
		return false, err
	}
	if err == nil && exactjson.Text(create.Event.Content, "predecessor", "room_id") == old.String() {
		log.Info().Msg("Upgrade followed")
		return true, nil
	}
	log.Warn().Msg("Room left: no successor of the old room")
	return false, invites.UnlessRefused(m.move(ctx, room.Leave, r, nil))
}
