package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/room"
)

func knocksCommand() Command {
	return Command{
		Name: "knocks", Level: User,
		Words: []string{"knock", "knocking", "klopfen"}, Loose: []string{"requests", "door"},
		See: []string{"approve", "deny"},
		Parts: []Part{
			{Name: "accept all",
				Run: func(ctx context.Context, c *Call) (Reply, error) { return c.listKnocks(ctx, true) }},
			{Name: "accept", Params: []Param{numbers()}, Run: acceptKnocks},
		},
		Params: []Param{inRoom()},
		Run:    func(ctx context.Context, c *Call) (Reply, error) { return c.listKnocks(ctx, false) },
	}
}

func acceptKnocks(ctx context.Context, c *Call) (Reply, error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return Reply{}, err
	}
	return c.voteIn(ctx, in, invites.Accept)
}

// listKnocks lists the open knocks with cards in a room. With accept, it adds the command to accept exactly these.
func (c *Call) listKnocks(ctx context.Context, accept bool) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	if err := c.Chat.Knocking(ctx, in); err != nil {
		return reply, err
	}
	knocks, err := c.openKnocks(ctx, in)
	if err != nil {
		return reply, err
	}
	if len(knocks) == 0 {
		return nobodyKnocks(ctx, c, in)
	}
	if accept {
		reply.Text.Say("knocks.accept", "n", len(knocks))
	} else {
		reply.Text.Say("knocks.head", "n", len(knocks))
	}
	now := c.Clock.Now()
	numbers := make([]int64, 0, maxLines)
	var away invites.Card // one of those in another room
	for i, k := range knocks {
		reply.Text.Line()
		if i == maxLines {
			reply.Text.Say("knocks.more", "n", len(knocks)-i)
			break
		}
		elsewhere := ""
		if k.ShownIn == in {
			numbers = append(numbers, k.Number)
		} else {
			elsewhere, away = string(k.ShownIn), k
		}
		row := room.Say("knocks.row", "number", k.Number, "elsewhere", elsewhere, "target", k.Target, "age", now.Sub(k.CreatedAt), "reason", k.Reason)
		if !k.Remark.Empty() {
			row = row.Holding(k.Remark)
		}
		reply.Text.Tell(row)
	}
	if accept && len(numbers) > 0 {
		reply.Text.Line().Say("knocks.exactly", "prefix", c.Prefix, "numbers", ranges(numbers))
	}
	if away.ID != 0 {
		reply.Text.Line().Say("knocks.away", "prefix", c.Prefix, "number", away.Number, "room", string(away.ShownIn))
	}
	return reply, nil
}

// nobodyKnocks says that no card about a knock is open, or that the room's policy wants none.
func nobodyKnocks(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	p, err := c.Judge.Policies.Of(ctx, in, c.Message.Sender)
	if invites.UnlessUnseen(err) != nil {
		return reply, err
	}
	if p == nil || p.Document.Knocks.Desk {
		reply.Text.Say("knocks.none")
	} else {
		reply.Text.Say("knocks.no_desk", "prefix", c.Prefix)
	}
	return reply, nil
}

// openKnocks returns the open knock cards of a room, and has the room shown the cards found to stand no more.
func (c *Call) openKnocks(ctx context.Context, in id.RoomID) ([]invites.Card, error) {
	open, closed, err := c.Cards.OpenKnocks(ctx, c.Message.Sender, in)
	return open, errors.Join(err, showClosed(ctx, c.Chat, closed))
}

// showClosed has rooms shown the results of cards.
func showClosed(ctx context.Context, chat Chat, closed []invites.Card) error {
	for _, card := range closed {
		if err := chat.Voted(ctx, cards.Ballot{Card: card}); err != nil {
			return err
		}
	}
	return nil
}

// ranges writes numbers as numbers reads them: 1-3 5.
func ranges(numbers []int64) string {
	var parts []string
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		part := fmt.Sprint(numbers[i])
		if last > i {
			part += fmt.Sprintf("-%d", numbers[last])
		}
		parts, i = append(parts, part), last+1
	}
	return strings.Join(parts, " ")
}
