package chat

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/guard"
	"usher/room"
)

// GuardReport sends a report of the guard to its room. After a crash, the guard reports again.
func (r *Rooms) GuardReport(ctx context.Context, in id.RoomID, report guard.Report) error {
	part := "guard " + report.Part + " " + report.Key.Type + " " + string(in)
	_, err := r.sender.say(ctx, in, transaction(report.Event, part), r.runner.GuardNotice(report), commands.Message{}, "")
	r.log.Info().Stringer("room", in).Stringer("event", report.Event).Str("kind", string(report.Kind)).Str("part", report.Part).
		Str("code", report.Code).Bool("acts", report.Acts).Msg("Guard report")
	return err
}

// redacted looks at a room whose state may have been redacted. It tells the admins of a room about a policy that somebody else than its author
// redacted, once for each policy event.
func redacted(ctx context.Context, r *Rooms, ev invites.Received) error {
	own, err := r.runner.Judge.Policies.Own(ctx, ev.Room, r.runner.Self.Bot)
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	if gone := redacts(ev); own.Event == "" || !slices.Contains(gone[:], own.Event) {
		return r.recheckLevels(ctx, ev)
	}
	r.expiriesChanged.Store(true)
	if own.Fault != nil {
		r.log.Warn().Stringer("room", ev.Room).Stringer("event", own.Event).Msg("Policy redacted")
		call, err := r.runner.Policies.Admins(ctx, ev.Room)
		if err != nil {
			return err
		}
		if _, err := r.sender.say(ctx, ev.Room, transaction(own.Event, "redacted"), r.runner.PolicyRedacted(call, own.Fault), commands.Message{}, ""); err != nil {
			return err
		}
	}
	return r.recheck(ctx, ev.Room)
}

// guarded hands an event to the guard of its room, if there is one.
func (r *Rooms) guarded(ctx context.Context, ev invites.Received) error {
	if !r.guard.Watches(ev.Room) {
		return nil
	}
	return r.guard.Handle(ctx, ev)
}

// recheckSpace rechecks the guards of a room after a space claimed it or gave it up, or after the room's own word on its space changed,
// and the guards of the rooms below it.
func (r *Rooms) recheckSpace(ctx context.Context, ev invites.Received) error {
	r.expiriesChanged.Store(true)
	if ev.Type == room.TypeSpaceParent {
		if err := r.relink(ctx, ev.Room, id.RoomID(*ev.StateKey)); err != nil {
			return err
		}
		return r.recheck(ctx, ev.Room)
	}
	if child := id.RoomID(*ev.StateKey); slices.Contains(r.spaces.Spaces(child), ev.Room) {
		return r.recheck(ctx, child)
	}
	return nil
}

// recheckLevels has the guard handle new power levels. In a room under a space, power levels also decide whether the room's own
// word on the spaces above it counts, for itself and for the rooms below it.
func (r *Rooms) recheckLevels(ctx context.Context, ev invites.Received) error {
	watched := r.guard.Watches(ev.Room)
	if watched { // one round of a fight, if it is one; a recheck would not count it
		if err := r.guard.Handle(ctx, ev); err != nil {
			return err
		}
	}
	if !r.claimed(ev.Room) {
		return nil
	}
	if watched {
		return r.guard.RefreshBelow(ctx, ev.Room)
	}
	return r.recheck(ctx, ev.Room)
}

// recheck rechecks the guards of a room, and of all rooms below it, which may inherit from it.
func (r *Rooms) recheck(ctx context.Context, in id.RoomID) error {
	if err := r.guard.Refresh(ctx, in); err != nil {
		return err
	}
	return r.guard.RefreshBelow(ctx, in)
}
