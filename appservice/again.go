package appservice

import (
	"context"
	"time"
)

// Health knows whether this process can work. Its methods must not block.
type Health interface {
	// Reasons lists the faults that keep this process from working. A ready one has none.
	Reasons() []string
	// Committed is told of each attempt to commit a transaction: nil if the transaction is committed.
	Committed(err error)
}

// againEvery is the pause between two tries of a transaction that failed.
const againEvery = time.Second

// Run tries the last transaction whose commit failed again and again until it is committed, or until ctx ends. So Usher knows by itself
// when it can commit again, whatever was in the way, and the events of the transaction need not wait for the homeserver, which
// sends it again all the same: it acts once.
func (n *Intake) Run(ctx context.Context) {
	tick := time.NewTicker(againEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.again(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// again tries the failed transaction once.
func (n *Intake) again(ctx context.Context) {
	t := n.failed.Load()
	if t == nil || n.draining.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.o.Limits.Commit)
	defer cancel()
	if err := n.receive(ctx, t); err != nil {
		if ctx.Err() == nil {
			n.o.Health.Committed(err)
		}
		return
	}
	n.handOn(ctx, t)
	if n.failed.CompareAndSwap(t, nil) {
		n.o.Log.Info().Msg("The transaction that failed is committed: transactions can be taken again")
		n.o.Hearing.Able(n.o.Now())
		n.o.Health.Committed(nil)
	}
}

// noteCommit notes the result of the commit of a transaction from the homeserver. It keeps a failed transaction for Run.
func (n *Intake) noteCommit(t *work, err error) {
	if err != nil {
		kept := *t
		kept.body = nil // the buffer serves the next transaction
		n.failed.Store(&kept)
		n.o.Hearing.Unable()
		n.o.Health.Committed(err)
		return
	}
	n.failed.Store(nil) // the homeserver sends its transactions in order, so it is past the failed one
	n.o.Hearing.Able(n.o.Now())
	n.o.Hearing.Heard(n.o.Now())
	n.o.Health.Committed(nil)
}

// healthy is always ready.
type healthy struct{}

func (healthy) Reasons() []string { return nil }
func (healthy) Committed(error)   {}
