package bot

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// How long an event may wait before another replica looks after it, and a command whose answer may be done.
const (
	orphanEvery  = 2 * time.Second
	orphanAge    = 5 * time.Second
	orphanAnswer = time.Minute
	// orphanPatience is the age from which what another replica received is not tried again before what came after it: if that
	// replica is still there, it has given up by then.
	orphanPatience = 2 * patience
)

// inLane runs fn while no other replica works on the room. What other replicas received before an event is handled first, so
// that the room's order holds whoever holds its lane.
func (b *bot) inLane(ctx context.Context, ev invites.Received, fn func() error) error {
	release, err := b.store.HoldLane(ctx, ev.Room)
	if err != nil {
		return err
	}
	defer release()
	if !b.store.Shared() {
		return fn()
	}
	earlier, err := b.store.WaitingBefore(ctx, ev.Room, ev.Seq)
	if err != nil {
		return err
	}
	if len(earlier) > 0 {
		if err := b.wire.caughtUp(ctx); err != nil { // what changed before them was told before they were there
			return err
		}
	}
	for _, other := range earlier {
		if b.sealed.parking.holds(other) {
			continue // it goes on when its key comes; what has to wait behind it does
		}
		if err := b.once(ctx, other, time.Since(other.ReceivedAt) < orphanPatience); err != nil {
			return err
		}
	}
	return fn()
}

// lookAfter looks after what a replica that was killed has left, until ctx ends: each replica does, and finds most of it handled.
func (b *bot) lookAfter(ctx context.Context) {
	if !b.store.Shared() {
		return
	}
	tick := time.NewTicker(orphanEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := b.takeUp(ctx); err != nil && ctx.Err() == nil {
				b.log.Warn().Err(err).Msg("the inbox could not be searched for what was left behind")
			}
		case <-ctx.Done():
			return
		}
	}
}

func (b *bot) takeUp(ctx context.Context) error {
	now := time.Now()
	left, err := b.store.LeftBehind(ctx, now.Add(-orphanAge), feedPage)
	if err != nil {
		return err
	}
	var events []invites.Received
	for _, ev := range left {
		now, err := b.store.Received(ctx, ev.Event)
		switch {
		case err != nil || now.Handled || b.sealed.parking.holds(ev):
		case now.Answer == "":
			events = append(events, ev)
		case time.Since(ev.ReceivedAt) > orphanAnswer:
			if err := b.report(ctx, ev.Event, finished); err != nil {
				return err
			}
		}
	}
	b.lanes.push(b.ctx, events)
	return nil
}

// striped is a set of locks, one for each command as far as they go.
type striped [64]sync.Mutex

// of returns the lock of a command.
func (s *striped) of(command id.EventID) *sync.Mutex {
	h := fnv.New32a()
	_, _ = h.Write([]byte(command))
	return &s[h.Sum32()%uint32(len(s))]
}
