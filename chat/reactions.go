package chat

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/cards"
)

// react counts a reaction on a card. The voter hears nothing of a vote without effect: others see the reaction too.
func (d *CardDesk) react(ctx context.Context, ev invites.Received) error {
	card, key := commands.Reaction(ev.Raw)
	choice, known := invites.ChoiceOf(key)
	if !known || ev.Redacted || d.runner.Level(ev.Sender) == commands.Nobody {
		return nil
	}
	c, err := d.store.CardShown(ctx, card)
	if errors.Is(err, invites.ErrNotFound) {
		return d.stop(ctx, ev, card, choice)
	}
	if err != nil || c.ShownIn != ev.Room {
		return err
	}
	ballot, err := d.cases.Vote(ctx, c, invites.Vote{Voter: ev.Sender, Choice: choice, Room: ev.Room, Event: ev.Event, At: ev.ReceivedAt})
	if err != nil {
		return err
	}
	return d.Show(ctx, ballot)
}

// stop ends what waits of a command, if the reaction is a ❌ by the sender of the command on its status message.
func (d *CardDesk) stop(ctx context.Context, ev invites.Received, on id.EventID, choice invites.Choice) error {
	command, err := d.status.inbox.Answered(ctx, on)
	if err != nil || choice != invites.Decline || command.Sender != ev.Sender || command.Room != ev.Room {
		return invites.UnlessNone(err)
	}
	if err := d.status.delivery.Stop(ctx, string(command.Event)); err != nil {
		return err
	}
	if err := d.showClosed(ctx, invites.CardTodo{Command: command.Event, Limit: cardsOfOne}); err != nil {
		return err
	}
	return d.status.report(ctx, command.Event, finished)
}

// showClosed shows the results of closed cards.
func (d *CardDesk) showClosed(ctx context.Context, q invites.CardTodo) error {
	todo, err := d.store.CardsTodo(ctx, q)
	if err != nil {
		return err
	}
	for _, c := range todo {
		if c.State == invites.CardOpen {
			continue
		}
		if err := d.Show(ctx, cards.Ballot{Card: c}); err != nil {
			return err
		}
	}
	return nil
}
