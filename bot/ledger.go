package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// loadPending learns which invitations are open, so that the intake knows what ends one.
func (b *bot) loadPending(ctx context.Context) error {
	return b.store.EachPending(ctx, b.pending.Add)
}

// stays reports whether a join event only changes the name or avatar of a member. Such events come for all rooms at once and need no
// work.
func stays(raw json.RawMessage) bool {
	return exactjson.Text(raw, "unsigned", "prev_content", "membership") == "join"
}

// arrived completes the ledger of a room that the bot has joined: one request tells of all who are invited there.
func (b *bot) arrived(ctx context.Context, r id.RoomID) error {
	asked := time.Now()
	found, err := b.client.InvitedMembers(ctx, r, asked)
	if invites.Refused(err) {
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

// expire withdraws invitations that nobody answered, and reminds of those that will be.
func (b *bot) expire(ctx context.Context) error {
	if b.expiriesChanged.Swap(false) {
		if err := b.store.ForgetExpiries(ctx); err != nil {
			return err
		}
	}
	due, remind, err := b.domain.ledger.Expiries.Expire(ctx)
	if err != nil {
		return err
	}
	if len(due) > 0 {
		if err := b.jobs.Wake(ctx, time.Now(), due...); err != nil {
			return err
		}
	}
	return b.remind(ctx, remind)
}

// remind tells a room of invitations that expire soon: one notice for all, which mentions their inviters.
func (b *bot) remind(ctx context.Context, entries []invites.Invitation) error {
	byRoom := map[id.RoomID][]invites.Invitation{}
	for _, e := range entries {
		byRoom[e.Room] = append(byRoom[e.Room], e)
	}
	for r, entries := range byRoom {
		rule, err := b.domain.ledger.Expiries.Rule(ctx, r)
		if err != nil {
			return err
		}
		if rule.After > 0 && !rule.Lends {
			content := commands.Reminder(entries, rule, time.Now())
			if _, err := b.send(ctx, r, transaction(entries[0].Event, "reminder"), room.TypeMessage, content); err != nil {
				return err
			}
		}
		rows := make([]int64, len(entries))
		for i, e := range entries {
			rows[i] = e.ID
		}
		if err := b.store.Reminded(ctx, rows...); err != nil {
			return err
		}
	}
	return nil
}
