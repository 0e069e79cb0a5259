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
	if errors.Is(err, invites.ErrNotFound) || err == nil && c.Kind == invites.CardConfirm && c.State == invites.CardAccepted && choice != invites.Accept {
		return d.steer(ctx, ev, card, choice)
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

// steer pauses, resumes or stops a command, if the reaction on its status message says so, and its sender may.
func (d *CardDesk) steer(ctx context.Context, ev invites.Received, on id.EventID, wish invites.Choice) error {
	command, err := d.status.inbox.Answered(ctx, on)
	if err != nil || command.Room != ev.Room {
		return invites.UnlessNone(err)
	}
	done, err := d.status.requests.Steer(ctx, ev.Sender, command.Event, wish)
	if err != nil || !done {
		return err
	}
	why := delayed
	switch wish {
	case invites.Pause:
		err = d.offer(ctx, command.Room, on, invites.ReactResume)
	case invites.Decline:
		why = finished
		err = d.showClosed(ctx, invites.CardTodo{Command: command.Event, Limit: cardsOfOne})
	}
	if err != nil {
		return err
	}
	return d.status.report(ctx, command.Event, why)
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
