package appservice

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// arrival is what a transaction brings for the inbox.
type arrival struct {
	txn        string
	received   []invites.Received
	members    []invites.MemberEvent
	redactions []redaction
	err        error
	done       chan struct{} // closed when err is final
}

// receive commits an arrival. Those that come while one commits share the next commit: the first of them that gets the turn
// commits for all.
func (n *Intake) receive(ctx context.Context, a *arrival) error {
	a.done = make(chan struct{})
	n.mu.Lock()
	n.waiting = append(n.waiting, a)
	n.mu.Unlock()
	select {
	case n.turn <- struct{}{}:
	case <-a.done: // another one has committed it
		return a.err
	case <-ctx.Done():
		return ctx.Err() // it may be committed yet; then the homeserver sends in vain what it sends again
	}
	defer func() { <-n.turn }()
	n.mu.Lock()
	batch := n.waiting
	n.waiting = nil
	n.mu.Unlock()
	if len(batch) > 0 {
		n.receiveAll(ctx, batch)
	}
	for _, of := range batch {
		close(of.done)
	}
	<-a.done
	return a.err
}

// receiveAll commits arrivals and hands on what is new, in one order. It runs one at a time.
func (n *Intake) receiveAll(ctx context.Context, batch []*arrival) {
	var kept, fresh []invites.Received
	var members []invites.MemberEvent
	from := map[id.EventID]string{}
	for _, a := range batch {
		kept, members = append(kept, a.received...), append(members, a.members...)
		for _, e := range a.received {
			from[e.Event] = a.txn
		}
	}
	if len(kept)+len(members) > 0 {
		var err error
		if fresh, err = n.o.Inbox.Receive(ctx, kept, members...); err != nil {
			n.doubt.Store(true)
			for _, a := range batch {
				a.err = fmt.Errorf("inbox: %w", err)
			}
			return
		}
		n.settled(members)
	}
	for _, a := range batch {
		for _, r := range a.redactions {
			redacted, err := n.o.Inbox.Redact(ctx, r.event, r.sender)
			if err != nil {
				a.err = fmt.Errorf("redaction: %w", err)
			}
			for i := range fresh {
				if redacted && fresh[i].Event == r.event {
					fresh[i].Redacted = true
				}
			}
		}
	}
	for _, e := range fresh {
		level := zerolog.InfoLevel
		if e.Type == room.TypeEncrypted {
			level = zerolog.DebugLevel // most of it is chat
		}
		n.o.Log.WithLevel(level).Str("transaction_id", room.Shorten(from[e.Event], 64)).Stringer("event", e.Event).Stringer("room", e.Room).
			Stringer("sender", e.Sender).Str("type", room.Shorten(e.Type, 64)).Msg("Event kept")
	}
	// What is committed is handed on even if a redaction failed: it is not new when it comes again.
	if len(fresh) > 0 {
		n.o.Sink.Deliver(fresh)
	}
	if n.doubt.CompareAndSwap(true, false) {
		n.o.Sink.Recover()
	}
}
