package chat

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/ledger"
	"usher/room"
)

// ReviewCases judge open invitations anew.
type ReviewCases interface {
	// Review judges the open invitations of a room, and records the withdrawals that the policy wants.
	Review(ctx context.Context, r id.RoomID) (ledger.Review, error)
	// Ask opens the card of a turn.
	Ask(ctx context.Context, t *ledger.Turn, remark room.Phrase) error
	// Told notes that the room knows of a turn, ToldUnreadable of a policy list that can't be read.
	Told(ctx context.Context, t ledger.Turn) error
	ToldUnreadable(ctx context.Context, r, list id.RoomID) error
	// Unchecked lists some rooms with open invitations that are due for a review.
	Unchecked(ctx context.Context) ([]id.RoomID, error)
	// Lists reports whether a room is a policy list that some room follows.
	Lists(r id.RoomID) bool
}

// Reviews tells rooms what has turned against their open invitations, and has these withdrawn.
type Reviews struct {
	cases  ReviewCases
	cards  *CardDesk
	queue  invites.Queue
	runner *commands.Runner
	sender *Sender
	log    zerolog.Logger
}

// room reviews the open invitations of one room. A message is sent before its turn is noted: after a crash, the same one is sent again.
func (r *Reviews) room(ctx context.Context, in id.RoomID) error {
	found, err := r.cases.Review(ctx, in)
	if err != nil {
		return err
	}
	if list := found.Unreadable; list != "" {
		if _, err := r.sender.say(ctx, in, transaction(id.EventID(list), "unreadable in "+string(in)), r.runner.Unreadable(list), commands.Message{}, ""); err != nil {
			return err
		}
		if err := r.cases.ToldUnreadable(ctx, in, list); err != nil {
			return err
		}
	}
	for _, t := range found.Turns {
		if err := r.turn(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// turn tells the room of one turn, or asks it, and wakes the withdrawals.
func (r *Reviews) turn(ctx context.Context, t ledger.Turn) error {
	r.log.Info().Stringer("room", t.Room).Str("code", string(t.Code)).Int("invitations", len(t.Invitations)).Str("done", string(t.Done)).Msg("Invitations reviewed")
	if t.Done == ledger.Asked {
		if err := r.cases.Ask(ctx, &t, commands.Finding(t)); err != nil {
			return err
		}
		if err := r.cards.postOf(ctx, t.Card.Command); err != nil {
			return err
		}
	} else {
		txn := transaction(t.Invitations[0].Event, string(t.Code)+" "+string(t.Done))
		if _, err := r.sender.say(ctx, t.Room, txn, r.runner.Turned(t), commands.Message{}, ""); err != nil {
			return err
		}
	}
	if err := r.cases.Told(ctx, t); err != nil || len(t.Rows) == 0 {
		return err
	}
	return r.queue.Wake(ctx, time.Now(), t.Rows...)
}

// sweep reviews the rooms that are due.
func (r *Reviews) sweep(ctx context.Context, due []id.RoomID) {
	for _, in := range due {
		if err := r.room(ctx, in); err != nil && ctx.Err() == nil {
			r.log.Warn().Err(err).Stringer("room", in).Msg("Open invitations not reviewed")
		}
	}
}
