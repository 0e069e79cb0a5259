package commands

import (
	"context"
	"time"

	"usher/invites"
	"usher/room"
)

func cardsCommand() Command {
	return Command{
		Name: "cards", Level: User,
		Words: []string{"approvals", "questions", "karten", "anfragen"}, Loose: []string{"votes", "todo", "card"},
		See:    []string{"approve", "deny"},
		Params: []Param{inRoom()},
		Run:    runCards,
	}
}

// runCards lists the open questions of a room.
func runCards(ctx context.Context, c *Call) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	open, closed, err := c.Cards.Questions(ctx, c.Message.Sender, in)
	if err != nil {
		return reply, err
	}
	if err := showClosed(ctx, c.Chat, closed); err != nil {
		return reply, err
	}
	if len(open) == 0 {
		reply.Text.Say("cards.none")
		return reply, nil
	}
	now := c.Clock.Now()
	reply.Text.Say("cards.head", "n", len(open))
	for i, card := range open {
		reply.Text.Line()
		if i == maxLines {
			reply.Text.Say("more", "n", len(open)-i)
			break
		}
		elsewhere := ""
		if card.ShownIn != in {
			elsewhere = string(card.ShownIn)
		}
		reply.Text.Tell(askedRow(card, now.Sub(card.CreatedAt), elsewhere))
	}
	reply.Text.Line().Say("cards.decide", "prefix", c.Prefix, "number", open[0].Number)
	return reply, nil
}

// askedRow words the question of a card in short. elsewhere is the room that shows the card, unless it is the room in question.
func askedRow(c invites.Card, age time.Duration, elsewhere string) room.Phrase {
	if c.Kind == invites.CardKnock {
		return room.Say("cards.knock", "number", c.Number, "elsewhere", elsewhere, "target", c.Target, "age", age, "reason", c.Reason)
	}
	return room.Say("cards.approval", "number", c.Number, "elsewhere", elsewhere, "actor", c.Actor, "target", c.Target, "age", age, "reason", c.Reason)
}
