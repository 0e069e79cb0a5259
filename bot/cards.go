package bot

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
	"usher/invites"
	"usher/room"
)

// await opens a command's card. When nobody has reacted in time, the command gets another turn, and says so.
func (b *bot) await(command invites.Received, card id.EventID) {
	b.cards.Open(card)
	left := time.Until(command.ReceivedAt.Add(commands.ConfirmWithin)) + time.Second
	time.AfterFunc(max(left, 0), func() { b.lanes.push(b.ctx, []invites.Received{command}) })
}

// decide hands a reaction to the command whose card it is on.
func (b *bot) decide(ctx context.Context, ev invites.Received) error {
	card, key := commands.Reaction(ev.Raw)
	command, err := b.store.Answered(ctx, card)
	if errors.Is(err, invites.ErrNotFound) || command.Handled {
		return nil
	} else if err != nil {
		return err
	}
	if command.Type == room.TypeEncrypted {
		if b.sealed.device == nil {
			return nil
		}
		if command, err = b.sealed.device.Open(ctx, command); err != nil {
			b.log.Warn().Err(err).Stringer("event", command.Event).Msg("a command can't be opened again")
			return nil
		}
	}
	m, reply, decided, err := b.runner.Decide(ctx, command, ev.Sender, appservice.Vote(key) == appservice.Yes)
	if err != nil || !decided {
		return err
	}
	b.cards.Close(card)
	if reply.Text.Empty() {
		reply.Text.Say("done")
	}
	if err := b.answer(ctx, command, m, reply); err != nil || !reply.Progress {
		return err
	}
	return b.report(ctx, command.Event, finished)
}
