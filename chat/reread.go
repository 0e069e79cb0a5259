package chat

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// reread looks at a room anew, because an event there can't be read and any state may have changed. An event without a room concerns all
// rooms of the bot: each gets an event of its own, so trouble with one room keeps no other waiting.
func (m *Memberships) reread(ctx context.Context, ev invites.Received) error {
	if ev.Room != "" {
		return m.rereadRoom(ctx, ev)
	}
	in, err := m.occupancy.JoinedRooms(ctx)
	if err != nil {
		return invites.UnlessRefused(err)
	}
	each := make([]invites.Received, len(in))
	for i, r := range in {
		each[i] = ev
		each[i].Event, each[i].Room = "$"+id.EventID(transaction(ev.Event, "reread "+string(r))), r
	}
	return m.rooms.take(ctx, each)
}

// rereadRoom has the guard look at the door, counted as a round of a fight if it is one, and takes in the open invitations.
func (m *Memberships) rereadRoom(ctx context.Context, ev invites.Received) error {
	m.log.Warn().Stringer("room", ev.Room).Msg("Room looked at anew: an event can't be read")
	if err := m.rooms.guarded(ctx, ev); err != nil {
		return err
	}
	if err := m.rooms.takeMissed(ctx, ev.Room); err != nil {
		return err
	}
	m.cards.reviewRoom(ctx, ev.Room)
	return errors.Join(m.rooms.joined(ctx, ev.Room), m.cards.Knocking(ctx, ev.Room))
}

// takeMissed puts the open invitations of a guarded room that the ledger does not know into the inbox, as if they had just come.
func (r *Rooms) takeMissed(ctx context.Context, in id.RoomID) error {
	if !r.guard.Watches(in) {
		return nil
	}
	now := time.Now()
	found, err := r.invitees.InvitedMembers(ctx, in, now)
	if err != nil {
		return invites.UnlessRefused(err)
	}
	raw, err := json.Marshal(map[string]any{"content": map[string]any{"membership": "invite"}})
	if err != nil {
		return err
	}
	var missed []invites.Received
	var members []invites.MemberEvent
	for _, m := range found {
		known, err := r.store.PendingOf(ctx, in, m.Target)
		if invites.UnlessNone(err) != nil {
			return err
		}
		if !errors.Is(err, invites.ErrNotFound) && known.Event == m.Event {
			continue
		}
		key := string(m.Target)
		missed = append(missed, invites.Received{
			Event: m.Event, Room: in, Sender: m.Sender, Type: room.TypeMember, StateKey: &key, Raw: raw, SentAt: m.SentAt, ReceivedAt: now,
		})
		members = append(members, m)
		r.pending.Add(in, m.Target)
	}
	return r.take(ctx, missed, members...)
}

// take puts events into the inbox as if they had just come.
func (r *Rooms) take(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) error {
	fresh, err := r.store.Receive(ctx, events, members...)
	if err == nil && len(fresh) > 0 {
		r.feed.Recover() // the intake pushes the events of the stream at the same time, in its own order
	}
	return err
}
