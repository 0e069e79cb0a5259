package commands

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func approveCommand() Command {
	return Command{
		Name: "approve", Level: User,
		Usage: "<number>… [room]",
		About: "Votes for what a card asks: an invitation that needs approval, or somebody who knocks.",
		Run: func(ctx context.Context, c *Call) (Reply, error) {
			if err := c.only(); err != nil {
				return Reply{}, err
			}
			return c.vote(ctx, invites.Accept)
		},
	}
}

// vote votes on the cards whose numbers begin the arguments.
func (c *Call) vote(ctx context.Context, choice invites.Choice) (Reply, error) {
	numbers, rest, err := c.numbers(c.Args)
	if err != nil {
		return Reply{}, err
	}
	in, _, rest, err := c.where(ctx, rest)
	if err != nil {
		return Reply{}, err
	}
	if choice == invites.Accept && len(rest) > 0 {
		return Reply{}, c.puzzled(rest[0].text)
	}
	return c.voteOn(ctx, in, numbers, choice, reason(rest))
}

func (c *Call) voteOn(ctx context.Context, in id.RoomID, numbers []int64, choice invites.Choice, reason string) (reply Reply, err error) {
	closed := 0
	for _, n := range numbers {
		line, done, err := c.voteOne(ctx, in, n, choice, reason)
		if err != nil {
			return Reply{}, err
		}
		if done {
			closed++
		}
		if !line.Empty() {
			if !reply.Text.Empty() {
				reply.Text.Line()
			}
			reply.Text.Add(line)
		}
	}
	if closed > 0 {
		reply.React = "✅"
	}
	reply.Mention = closed == 0
	return reply, nil
}

// voteOne votes on one card. Where the vote decides, the card tells the rest.
func (c *Call) voteOne(ctx context.Context, in id.RoomID, n int64, choice invites.Choice, reason string) (line Text, closed bool, err error) {
	card, err := c.Invites.Store.CardNumbered(ctx, in, n)
	if errors.Is(err, invites.ErrNotFound) {
		line.Sayf("There is no card #%d here.", n).Reason("vote.no_card")
		return line, false, nil
	}
	if err != nil {
		return line, false, err
	}
	ballot, err := c.Invites.Vote(ctx, card, invites.Vote{
		Voter: c.Message.Sender, Choice: choice, Room: c.Message.Room, Event: c.Message.Event, Reason: reason, At: c.Event.ReceivedAt,
	})
	if err != nil {
		return line, false, err
	}
	if err := c.Chat.Voted(ctx, ballot); err != nil {
		return line, false, err
	}
	switch {
	case ballot.Code != "":
		line.Sayf("#%d: %s", n, ballot.Sentence).Reason(ballot.Code)
	case ballot.Card.State == invites.CardOpen:
		line.Sayf("#%d: counted. %d of %d votes for it, %d against.", n, ballot.For, card.Votes, ballot.Against)
	default:
		closed = true
	}
	return line, closed, nil
}

// maxCards is how many cards one command may decide.
const maxCards = 200

// numbers takes the numbers and ranges of cards (3, #3, 3-7) at the start of the arguments.
func (c *Call) numbers(args []word) (numbers []int64, rest []word, err error) {
	for len(args) > 0 && !args[0].quoted {
		from, to, ok := fromTo(args[0].text)
		if !ok {
			break
		}
		if to-from >= maxCards || len(numbers)+int(to-from) >= maxCards {
			return nil, nil, faultf("One command takes %d cards at most.", maxCards)
		}
		for i := range to - from + 1 { // so that it ends at the last number there is
			numbers = append(numbers, from+i)
		}
		args = args[1:]
	}
	if len(numbers) == 0 {
		return nil, nil, c.usage("Which? Each card has its number.")
	}
	return numbers, args, nil
}

// fromTo reads "3", "#3" or "3-7".
func fromTo(text string) (from, to int64, ok bool) {
	first, last, ranged := strings.Cut(strings.TrimRight(strings.TrimPrefix(text, "#"), ",;"), "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 1 {
		return 0, 0, false
	}
	if !ranged {
		return from, from, true
	}
	to, err = strconv.ParseInt(strings.TrimPrefix(last, "#"), 10, 64)
	return from, to, err == nil && to >= from
}
