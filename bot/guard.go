package bot

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// newGuard makes the guard, which reports to the rooms that it watches.
func (b *bot) newGuard() *invites.Guard {
	return &invites.Guard{Service: b.invites, Store: b.store, Tell: func(ctx context.Context, r id.RoomID, report invites.Report) error {
		about := transaction(report.Event, "guard "+report.Part+" "+report.Key.Type+" "+string(r))
		_, err := b.send(ctx, r, about, "m.room.message", b.desk.GuardNotice(report))
		b.log.Info().Stringer("room", r).Stringer("event", report.Event).Str("kind", string(report.Kind)).Str("part", report.Part).
			Str("code", report.Code).Bool("acts", report.Acts).Msg("the guard reports")
		return err
	}}
}

// refresh begins or ends to watch a room, and has other replicas do as well.
func (b *bot) refresh(ctx context.Context, r id.RoomID) error {
	before := b.guard.Watches(r)
	err := b.guard.Refresh(ctx, r)
	if b.guard.Watches(r) != before {
		b.wire.tell(ctx, wordGuards)
	}
	return err
}

// related has the guards look anew at a room that came under a space, or is under it no more, as one of both says, and at those below it.
func (b *bot) related(ctx context.Context, ev invites.Received) error {
	b.expiriesChanged.Store(true)
	if ev.Type == "m.space.parent" {
		return b.regard(ctx, ev.Room)
	}
	child := id.RoomID(*ev.StateKey)
	// The intake hands events on before it keeps the claims that they make.
	if err := b.linked(ctx, []invites.SpaceChild{{Space: ev.Room, Child: child}}); err != nil {
		return err
	}
	return b.regard(ctx, child)
}

// maxBelow is how many spaces, one in the other, a policy is inherited through.
const maxBelow = 4

// regard has the guards look anew at a room whose policy changed, or that the bot came into or left, and at all rooms that may
// inherit from it.
func (b *bot) regard(ctx context.Context, r id.RoomID) error {
	claims, err := b.store.SpaceChildren(ctx)
	if err != nil {
		return err
	}
	children := map[id.RoomID][]id.RoomID{}
	for _, claim := range claims {
		children[claim.Space] = append(children[claim.Space], claim.Child)
	}
	seen := map[id.RoomID]bool{r: true}
	for depth, level := 0, []id.RoomID{r}; depth <= maxBelow && len(level) > 0; depth++ {
		var below []id.RoomID
		for _, one := range level {
			if err := b.refresh(ctx, one); err != nil {
				return err
			}
			for _, child := range children[one] {
				if !seen[child] {
					seen[child] = true
					below = append(below, child)
				}
			}
		}
		level = below
	}
	return nil
}
