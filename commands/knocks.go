package commands

import (
	"context"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
)

func knocksCommand() Command {
	return Command{
		Name: "knocks", Level: User,
		About: "Lists who knocks and waits for a decision; accept all shows first whom that would let in.",
		Parts: []Part{
			{Name: "accept all", About: "Shows whom that would let in, and how to accept exactly these.",
				Run: func(ctx context.Context, c *Call) (Reply, error) { return c.listKnocks(ctx, true) }},
			{Name: "accept", About: "Votes for letting people in, by the numbers of their cards.", Params: []Param{numbers()}, Run: acceptKnocks},
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

// listKnocks lists the open knocks that a room shows. With accept, it says how to accept exactly these.
func (c *Call) listKnocks(ctx context.Context, accept bool) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	knocks, err := c.openKnocks(ctx, in)
	if err != nil {
		return reply, err
	}
	if len(knocks) == 0 {
		reply.Text.Say("Nobody knocks.")
		return reply, nil
	}
	if accept {
		reply.Text.Sayf("This would let in %s:", people(len(knocks)))
	} else {
		reply.Text.Sayf("%s:", capitalized(people(len(knocks))+" knocking"))
	}
	now := c.Clock.Now()
	numbers := make([]int64, 0, maxLines)
	for i, k := range knocks {
		reply.Text.Line()
		if i == maxLines {
			reply.Text.Sayf("… and %d more, not among these.", len(knocks)-i)
			break
		}
		numbers = append(numbers, k.Number)
		reply.Text.Sayf("#%d ", k.Number).Code(string(k.Target)).Say(", " + ago(now.Sub(k.CreatedAt)))
		if k.Reason != "" {
			reply.Text.Say(": “" + k.Reason + "”")
		}
		if k.Remark != "" {
			reply.Text.Say(" (⚠ " + told(k.Remark) + ")")
		}
	}
	if accept {
		reply.Text.Line().Say("To accept exactly these, say ").Code(c.Prefix + "knocks accept " + ranges(numbers)).Say(".")
	}
	return reply, nil
}

// openKnocks returns the open knock cards of a room, and has the room shown those that were found to stand no more.
func (c *Call) openKnocks(ctx context.Context, in id.RoomID) ([]invites.Card, error) {
	open, closed, err := c.Cards.OpenKnocks(ctx, c.Message.Sender, in)
	for _, card := range closed {
		if err := c.Chat.Voted(ctx, cards.Ballot{Card: card}); err != nil {
			return nil, err
		}
	}
	return open, err
}

// people counts people.
func people(n int) string {
	if n == 1 {
		return "one person"
	}
	return fmt.Sprintf("%d people", n)
}

func capitalized(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

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
