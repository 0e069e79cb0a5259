package bot

import (
	"context"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"
)

// loadPending learns which invitations are open, so that the intake knows what ends one.
func (b *bot) loadPending(ctx context.Context) error {
	return b.store.EachPending(ctx, b.pending.Add)
}

// arrived completes the ledger of a room that the bot has joined: one request tells of all who are invited there.
func (b *bot) arrived(ctx context.Context, r id.RoomID) error {
	asked := time.Now()
	found, err := b.client.Invited(ctx, r, asked)
	if refusedFor(err) {
		return nil // out again
	} else if err != nil {
		return fmt.Errorf("asking who is invited: %w", err)
	}
	for _, m := range found {
		b.pending.Add(r, m.Target)
	}
	return b.store.Complete(ctx, r, found, asked)
}

// departed ends what the ledger can't follow any more.
func (b *bot) departed(ctx context.Context, r id.RoomID) error {
	return b.store.Complete(ctx, r, nil, time.Now())
}
