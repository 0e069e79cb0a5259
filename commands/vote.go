package commands

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// vote votes on the cards in the argument "number".
func (c *Call) vote(ctx context.Context, choice invites.Choice) (reply Reply, err error) {
	in, _, err := c.room(ctx, "room")
	if err != nil {
		return Reply{}, err
	}
	return c.voteIn(ctx, in, choice)
}

func (c *Call) voteIn(ctx context.Context, in id.RoomID, choice invites.Choice) (reply Reply, err error) {
	numbers, _ := cardNumbers(c.words["number"]) // set has checked how many there are
	closed := 0
	for _, n := range numbers {
		line, done, err := c.voteOne(ctx, in, n, choice, c.text("reason"))
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
	ballot, err := c.Cards.VoteNumber(ctx, in, n, invites.Vote{
		Voter: c.Message.Sender, Choice: choice, Room: c.Message.Room, Event: c.Message.Event, Reason: reason, At: c.Event.ReceivedAt,
	})
	if errors.Is(err, invites.ErrNotFound) {
		line.Say("vote.no_card", "number", n).Reason("vote.no_card")
		return line, false, nil
	}
	if err != nil {
		return line, false, err
	}
	if err := c.Chat.Voted(ctx, ballot); err != nil {
		return line, false, err
	}
	switch {
	case ballot.Code != "":
		line.Tell(room.Say("vote.refused", "number", n).Holding(ballot.Sentence)).Reason(ballot.Code)
	case ballot.Card.State == invites.CardOpen:
		line.Say("vote.counted", "number", n, "for", ballot.For, "votes", ballot.Card.Votes, "against", ballot.Against)
	default:
		closed = true
	}
	return line, closed, nil
}

// maxCards is how many cards one command may decide.
const maxCards = 200

// cardNumbers are the numbers in words, each by itself (3, #3) or as a range (3-7). ok is false if they are too many.
func cardNumbers(words []word) (numbers []int64, ok bool) {
	for _, w := range words {
		from, to, _ := fromTo(w.text) // its class has been checked
		if to-from >= maxCards || len(numbers)+int(to-from) >= maxCards {
			return nil, false
		}
		for i := range to - from + 1 { // a loop up to the largest int64 would not end
			numbers = append(numbers, from+i)
		}
	}
	return numbers, true
}

// fromTo reads "3", "#3" or "3-7".
func fromTo(text string) (from, to int64, ok bool) {
	first, last, ranged := strings.Cut(strings.TrimRight(strings.TrimPrefix(text, "#"), ",;:.!"), "-")
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
