package chat

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// OpenCards is the intake's index of cards, on which users decide by a reaction. Of all reactions, the intake keeps reactions on an
// open card.
type OpenCards interface {
	// Open opens a card, with the votes on it.
	Open(card id.EventID, votes ...id.EventID)
	// Close forgets a card. It reports whether the card was open.
	Close(card id.EventID) bool
	// Vote notes a reaction, if it is on an open card: the intake will keep its redaction.
	Vote(card, reaction id.EventID) bool
}

// Confirmations keeps the cards with which commands ask their own sender for a confirmation.
type Confirmations struct {
	open       OpenCards
	lanes      *Lanes
	background *Background
}

// await opens the card of a command. When its time is over, the command gets another turn in its lane, and says so.
func (c *Confirmations) await(command invites.Received, card id.EventID) {
	c.open.Open(card)
	left := time.Until(command.ReceivedAt.Add(commands.ConfirmWithin)) + time.Second
	c.background.After(max(left, 0), func(context.Context) { c.lanes.Push(command) })
}

// close forgets a card.
func (c *Confirmations) close(card id.EventID) { c.open.Close(card) }

// Asked is the part of the inbox for finding the command by its answer.
type Asked interface {
	Answered(ctx context.Context, answer id.EventID) (invites.Received, error)
}

// Confirmer hands reactions on confirmations to their commands.
type Confirmer struct {
	inbox     Asked
	runner    *commands.Runner
	confirm   *Confirmations
	encrypted *EncryptedRooms
	replies   *Replies
	status    *StatusMessages
	log       zerolog.Logger
}

// react hands a reaction on a card to the command of the card.
func (c *Confirmer) react(ctx context.Context, ev invites.Received) error {
	card, key := commands.Reaction(ev.Raw)
	command, err := c.inbox.Answered(ctx, card)
	if errors.Is(err, invites.ErrNotFound) || command.Handled {
		return nil
	} else if err != nil {
		return err
	}
	if command, err = c.encrypted.reopen(ctx, command); err != nil {
		c.log.Warn().Err(err).Stringer("event", command.Event).Msg("Command can't be opened again")
		return nil
	}
	choice, _ := invites.ChoiceOf(key)
	m, reply, decided, err := c.runner.Decide(ctx, command, ev.Sender, choice == invites.Accept)
	if err != nil || !decided {
		return err
	}
	c.confirm.close(card)
	if reply.Text.Empty() {
		reply.Text.Say("done")
	}
	if err := c.replies.answer(ctx, command, m, reply); err != nil || !reply.Progress {
		return err
	}
	return c.status.report(ctx, command.Event, finished)
}
