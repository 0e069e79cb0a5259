package bot

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/guard"
	"usher/room"
)

// guardReports sends a report of the guard to its room.
func (b *bot) guardReports(ctx context.Context, r id.RoomID, report guard.Report) error {
	about := transaction(report.Event, "guard "+report.Part+" "+report.Key.Type+" "+string(r))
	_, err := b.send(ctx, r, about, room.TypeMessage, b.runner.GuardNotice(report))
	b.log.Info().Stringer("room", r).Stringer("event", report.Event).Str("kind", string(report.Kind)).Str("part", report.Part).
		Str("code", report.Code).Bool("acts", report.Acts).Msg("the guard reports")
	return err
}

// related has the guards look anew at a room that came under a space, or is under it no more, as one of both says, and at those below it.
func (b *bot) related(ctx context.Context, ev invites.Received) error {
	b.expiriesChanged.Store(true)
	if ev.Type == room.TypeSpaceParent {
		return b.regard(ctx, ev.Room)
	}
	child := id.RoomID(*ev.StateKey)
	// The intake hands events on before it keeps the claims that they make.
	if err := b.linked(ctx, []invites.SpaceChild{{Space: ev.Room, Child: child}}); err != nil {
		return err
	}
	return b.regard(ctx, child)
}

// claimed tells whether a space claims a room, so that the room's power levels say what it inherits.
func (b *bot) claimed(r id.RoomID) bool { return len(b.state.Spaces(r)) > 0 }

// releveled has the guards look at a room whose power levels changed. A guard keeps them; and they say whether the room's own word on
// the spaces above it counts, for itself and for those below it.
func (b *bot) releveled(ctx context.Context, ev invites.Received) error {
	watched := b.guard.Watches(ev.Room)
	if watched { // a round of a fight, if it is one: nothing that a look anew would count
		if err := b.guard.Handle(ctx, ev); err != nil {
			return err
		}
	}
	if !b.claimed(ev.Room) {
		return nil
	}
	if watched {
		return b.regardBelow(ctx, ev.Room)
	}
	return b.regard(ctx, ev.Room)
}

// maxBelow is how many spaces, one in the other, a policy is inherited through.
const maxBelow = 4

// regard has the guards look anew at a room whose policy changed, or that the bot came into or left, and at all rooms that may
// inherit from it.
func (b *bot) regard(ctx context.Context, r id.RoomID) error {
	if err := b.guard.Refresh(ctx, r); err != nil {
		return err
	}
	return b.regardBelow(ctx, r)
}

// regardBelow has the guards look anew at all rooms that may inherit from one.
func (b *bot) regardBelow(ctx context.Context, r id.RoomID) error {
	claims, err := b.store.SpaceChildren(ctx)
	if err != nil {
		return err
	}
	children := map[id.RoomID][]id.RoomID{}
	for _, claim := range claims {
		children[claim.Space] = append(children[claim.Space], claim.Child)
	}
	seen := map[id.RoomID]bool{r: true}
	for depth, level := 0, []id.RoomID{r}; depth < maxBelow && len(level) > 0; depth++ {
		var below []id.RoomID
		for _, one := range level {
			for _, child := range children[one] {
				if seen[child] {
					continue
				}
				if err := b.guard.Refresh(ctx, child); err != nil {
					return err
				}
				seen[child] = true
				below = append(below, child)
			}
		}
		level = below
	}
	return nil
}
