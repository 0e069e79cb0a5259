package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// completeLedger completes the ledger of a newly joined room: one request returns all open invitations.
func (r *Rooms) completeLedger(ctx context.Context, in id.RoomID) error {
	asked := time.Now()
	found, err := r.invitees.InvitedMembers(ctx, in, asked)
	if invites.Refused(err) {
		return nil // the bot is out again
	} else if err != nil {
		return fmt.Errorf("reading the open invitations: %w", err)
	}
	for _, m := range found {
		r.pending.Add(in, m.Target)
	}
	return r.store.Complete(ctx, in, found, asked)
}

// Expire withdraws overdue invitations, and reminds rooms of invitations shortly before they expire.
func (r *Rooms) Expire(ctx context.Context) error {
	if r.expiriesChanged.Swap(false) {
		if err := r.store.ForgetExpiries(ctx); err != nil {
			return err
		}
	}
	if err := r.saveLinks(ctx); err != nil {
		return err
	}
	unchecked, err := r.reviews.cases.Unchecked(ctx)
	if err != nil {
		return err
	}
	due, remind, err := r.expiries.Expire(ctx)
	r.reviews.sweep(ctx, unchecked)
	if len(due) > 0 {
		err = errors.Join(err, r.queue.Wake(ctx, time.Now(), due...))
	}
	byRoom := map[id.RoomID][]invites.Invitation{}
	for _, one := range remind {
		byRoom[one.Room] = append(byRoom[one.Room], one)
	}
	for in, list := range byRoom { // a room with trouble is reminded later
		err = errors.Join(err, r.remind(ctx, in, list))
	}
	return err
}

// remind sends one notice about all invitations of a room shortly before they expire. It mentions their inviters.
func (r *Rooms) remind(ctx context.Context, in id.RoomID, list []invites.Invitation) error {
	rule, err := r.expiries.Rule(ctx, in)
	if err != nil {
		return err
	}
	if rule.After > 0 && !rule.Lends {
		reminder := commands.Reminder(list, rule, time.Now())
		if _, err := r.sender.say(ctx, in, transaction(list[0].Event, "reminder"), reminder, commands.Message{}, ""); err != nil {
			return err
		}
	}
	rows := make([]int64, len(list))
	for i, one := range list {
		rows[i] = one.ID
	}
	return r.store.Reminded(ctx, rows...)
}
