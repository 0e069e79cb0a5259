package bot

import (
	"context"
	"fmt"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/invites/cards"
	"usher/room"
)

// loadCards learns which cards are open, so that the intake knows which reactions are votes: those that people vote on, and what
// commands were answered with that are not at their end, which may be a card for the one who gave it.
func (b *bot) loadCards(ctx context.Context) error {
	todo, err := b.store.CardsTodo(ctx)
	if err != nil {
		return err
	}
	for _, c := range todo {
		if c.Event == "" || c.State != invites.CardOpen {
			continue
		}
		votes, err := b.store.Votes(ctx, c.ID)
		if err != nil {
			return err
		}
		cast := make([]id.EventID, len(votes))
		for i := range votes {
			cast[i] = votes[i].Event
		}
		b.cards.Open(c.Event, cast...)
	}
	answers, err := b.store.OpenAnswers(ctx)
	for _, answer := range answers {
		b.cards.Open(answer)
	}
	return err
}

// postCards shows the cards that a command has led to.
func (b *bot) postCards(ctx context.Context, command id.EventID) error {
	todo, err := b.store.CardsTodo(ctx)
	if err != nil {
		return err
	}
	for _, c := range todo {
		if c.Command != command || c.State != invites.CardOpen || c.Event != "" {
			continue
		}
		if err := b.post(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// name tells a card's transaction ids from others.
func name(c invites.Card, what string) string { return fmt.Sprintf("card %d %s", c.ID, what) }

// post shows one card. Where its room does not let the bot speak, nobody can decide it.
func (b *bot) post(ctx context.Context, c invites.Card) error {
	var notice id.EventID
	var err error
	if c.Code != invites.CodeNoRoom {
		content := b.runner.Card(c, 0, 0).Notice(commands.Message{})
		if notice, err = b.send(ctx, c.ShownIn, transaction(c.Command, name(c, "notice")), room.TypeMessage, content); err != nil {
			return err
		}
	}
	if notice == "" {
		if c, err = b.domain.cards.Cancel(ctx, c, invites.CodeNoRoom); err != nil {
			return err
		}
		return b.show(ctx, cards.Ballot{Card: c})
	}
	if err := b.store.PostedCard(ctx, c.ID, notice); err != nil {
		return err
	}
	b.cards.Open(notice)
	for _, key := range commands.Reactions(c) {
		content := &event.ReactionEventContent{RelatesTo: event.RelatesTo{Type: event.RelAnnotation, EventID: notice, Key: key}}
		if _, err := b.send(ctx, c.ShownIn, transaction(notice, key), room.TypeReaction, content); err != nil {
			return err
		}
	}
	return nil
}

// voted handles a reaction on a card that people vote on, and reports whether it was one.
func (b *bot) voted(ctx context.Context, ev invites.Received) (bool, error) {
	card, key := commands.Reaction(ev.Raw)
	c, err := b.store.CardShown(ctx, card)
	if err != nil || c.ShownIn != ev.Room {
		return false, invites.UnlessNone(err)
	}
	return true, b.ballot(ctx, ev, c, key)
}

// removed handles the redaction of a card, or of a vote.
func (b *bot) removed(ctx context.Context, ev invites.Received) error {
	for _, gone := range []string{exactjson.Text(ev.Raw, "redacts"), exactjson.Text(ev.Raw, "content", "redacts")} {
		if err := invites.UnlessNone(b.withdrawn(ctx, id.EventID(gone))); err != nil {
			return err
		}
	}
	return nil
}

// withdrawn looks what the redaction of an event means for the card that it was, or was a vote on. What the homeserver has on
// record counts, not who says so.
func (b *bot) withdrawn(ctx context.Context, gone id.EventID) error {
	c, err := b.store.CardShown(ctx, gone)
	if err == nil {
		if c, err = b.domain.cards.Review(ctx, c, true); err != nil {
			return err
		}
		return b.show(ctx, cards.Ballot{Card: c})
	}
	if c, err = b.store.CardVoted(ctx, gone); err != nil || c.State != invites.CardOpen {
		return err
	}
	ballot, err := b.domain.cards.Recount(ctx, c)
	if err != nil {
		return err
	}
	ballot.After = gone
	return b.show(ctx, ballot)
}

// ballot counts a reaction. Whose vote does not count is not told: others see what a reaction is worth.
func (b *bot) ballot(ctx context.Context, ev invites.Received, c invites.Card, key string) error {
	choice, known := commands.Choice(key)
	if !known || ev.Redacted || b.runner.Level(ev.Sender) == commands.Nobody {
		return nil
	}
	ballot, err := b.domain.cards.Vote(ctx, c, invites.Vote{Voter: ev.Sender, Choice: choice, Room: ev.Room, Event: ev.Event, At: ev.ReceivedAt})
	if err != nil {
		return err
	}
	return b.show(ctx, ballot)
}

// show brings a card to what a vote made of it: the votes so far, or the outcome, which is carried out and told first.
// Again after a crash, it does what is missing.
func (b *bot) show(ctx context.Context, ballot cards.Ballot) error {
	c := ballot.Card
	if c.State == invites.CardOpen {
		if ballot.Code != "" || c.Votes == 1 {
			return nil
		}
		return b.redraw(ctx, c, ballot.After, b.runner.Card(c, ballot.For, ballot.Against))
	}
	if c.Told {
		return nil
	}
	row, err := b.domain.cards.CarryOut(ctx, c)
	if err != nil {
		return err
	}
	if err := b.redraw(ctx, c, "", b.runner.Closed(c, row)); err != nil {
		return err
	}
	if reply := b.runner.Verdict(c, row); !reply.Text.Empty() {
		m := commands.Message{Event: c.Command, Room: c.Home, Sender: c.Actor}
		if _, err := b.send(ctx, c.Home, transaction(c.Command, name(c, "verdict")), room.TypeMessage, reply.Notice(m)); err != nil {
			return err
		}
	}
	if c.Kind == invites.CardApproval {
		if err := b.report(ctx, c.Command, settled); err != nil {
			return err
		}
	}
	b.cards.Close(c.Event)
	return b.store.ToldCard(ctx, c.ID)
}

// redraw edits a card's notice after a vote. It may say again what it said before, after another.
func (b *bot) redraw(ctx context.Context, c invites.Card, vote id.EventID, reply commands.Reply) error {
	if c.Event == "" {
		return nil
	}
	_, err := b.send(ctx, c.ShownIn, transaction(c.Event, string(vote)+reply.Text.String()), room.TypeMessage, reply.Edit(commands.Message{}, c.Event))
	return err
}

// knocked receives a knock.
func (b *bot) knocked(ctx context.Context, ev invites.Received, reason string) error {
	got, err := b.domain.knocks.Receive(ctx, cards.Knock{Event: ev.Event, Room: ev.Room, User: ev.Sender, Reason: reason})
	if err != nil || got.Card == nil {
		return err
	}
	c := *got.Card
	if got.Paused {
		if _, err := b.send(ctx, c.ShownIn, transaction(ev.Event, "paused"), room.TypeMessage, b.runner.Paused(c).Notice(commands.Message{})); err != nil {
			return err
		}
	}
	if c.State != invites.CardOpen {
		return b.show(ctx, cards.Ballot{Card: c})
	}
	if c.Event != "" {
		return nil
	}
	return b.post(ctx, c)
}

// postAfter is the age at which a card that was never shown is not its lane's business any more.
const postAfter = time.Minute

// tend looks after the cards: those about a room whose people changed, or, for no room, all of them for what time brings.
// What fails is tried again with the next sweep.
func (b *bot) tend(ctx context.Context, r id.RoomID) {
	todo, err := b.store.CardsTodo(ctx)
	if err != nil {
		b.log.Warn().Err(err).Msg("the cards could not be read")
		return
	}
	for _, c := range todo {
		if r != "" && c.Room != r {
			continue
		}
		if err := b.tendOne(ctx, c, r != ""); err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Int64("card", c.ID).Msg("a card could not be looked after")
		}
	}
}

func (b *bot) tendOne(ctx context.Context, c invites.Card, thorough bool) error {
	if c.State != invites.CardOpen {
		if time.Since(c.ClosedAt) < postAfter && !thorough {
			return nil // its lane is at it
		}
		return b.show(ctx, cards.Ballot{Card: c})
	}
	c, err := b.domain.cards.Review(ctx, c, thorough)
	switch {
	case err != nil:
		return err
	case c.State != invites.CardOpen:
		return b.show(ctx, cards.Ballot{Card: c})
	case c.Event == "" && time.Since(c.CreatedAt) > postAfter:
		return b.post(ctx, c)
	case c.Event == "":
		return nil
	}
	ballot, err := b.domain.cards.Tally(ctx, c)
	if err != nil || ballot.Card.State == invites.CardOpen {
		return err
	}
	return b.show(ctx, ballot)
}
