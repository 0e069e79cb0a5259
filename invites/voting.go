package invites

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Reason codes of votes that do not count.
const (
	CodeVoteOwn    = "vote.own"    // the one who asks
	CodeVoteTarget = "vote.target" // the one it is about
	CodeVotePower  = "vote.power"  // too little power in the room that it is about, or not in it
	CodeVoteClosed = "vote.closed" // decided already
	CodeVoteBan    = "vote.ban"    // only who knocks can be banned by a card
)

// Ballot is what became of a vote.
type Ballot struct {
	Card         Card       // as it is after the vote
	Code         string     // why the vote does not count; empty: it counts
	Sentence     string     // that in words
	For, Against int64      // votes that count so far
	After        id.EventID // the vote, cast or withdrawn, that it was counted after; empty: none in particular
}

// Vote counts a vote on a card and, when it completes the decision, closes the card.
func (s *Service) Vote(ctx context.Context, c Card, v Vote) (Ballot, error) {
	if c.State != CardOpen {
		return s.late(ctx, c, v)
	}
	if v.Choice == BanThem && c.Kind != CardKnock {
		return Ballot{Card: c, Code: CodeVoteBan, Sentence: "Only people who knock can be banned this way."}, nil
	}
	snap, err := s.electorate(ctx, c, v.Voter)
	if err != nil {
		return Ballot{}, err
	}
	if code, sentence := mayVote(snap, c, v.Voter); code != "" {
		return Ballot{Card: c, Code: code, Sentence: sentence}, nil
	}
	cast, err := s.Store.CastVote(ctx, c.ID, v)
	if err != nil {
		return Ballot{}, fmt.Errorf("counting a vote: %w", err)
	}
	if !cast {
		if c, err = s.Store.CardOf(ctx, c.Command, c.Action, c.Room, c.Target); err != nil {
			return Ballot{}, err
		}
		return s.late(ctx, c, v)
	}
	ballot, err := s.Tally(ctx, c)
	ballot.After = v.Event
	return ballot, err
}

// late is a vote on a closed card: after a crash, perhaps the very one that closed it.
func (s *Service) late(ctx context.Context, c Card, v Vote) (Ballot, error) {
	votes, err := s.Store.Votes(ctx, c.ID)
	if err != nil {
		return Ballot{}, err
	}
	for _, counted := range votes {
		if counted.Event == v.Event && counted.Voter == v.Voter {
			return count(c, votes).ballot(c), nil
		}
	}
	return Ballot{Card: c, Code: CodeVoteClosed, Sentence: "That is decided already."}, nil
}

// electorate reads what says who may vote on a card.
func (s *Service) electorate(ctx context.Context, c Card, voters ...id.UserID) (*room.Snapshot, error) {
	needs := []room.Key{{Type: "m.room.create"}, {Type: "m.room.power_levels"}}
	for _, voter := range voters {
		needs = append(needs, room.MemberKey(voter))
	}
	snap, err := s.Homeserver.Snapshot(ctx, c.Room, s.Self.Bot, needs, false)
	if errors.Is(err, ErrNoView) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading who may vote: %w", err)
	}
	return snap, nil
}

// mayVote says why a vote does not count; an empty code: it does. A room that can't be seen gives nobody a vote.
func mayVote(s *room.Snapshot, c Card, voter id.UserID) (code, sentence string) {
	switch voter {
	case c.Actor:
		return CodeVoteOwn, "Whoever asks does not decide."
	case c.Target:
		return CodeVoteTarget, "Whoever it is about does not decide."
	}
	if s == nil {
		return CodeVotePower, "I can't see that room, so I can't tell who may decide."
	}
	membership, known := s.Membership(voter)
	if !known || membership != "join" {
		return CodeVotePower, "Only members of the room decide."
	}
	if power, known := s.Power(voter); !known || power < c.Level {
		return CodeVotePower, fmt.Sprintf("Deciding needs power level %d in the room, and you have %d.", c.Level, power)
	}
	return "", ""
}

// Tally counts the votes on an open card by today's power, and closes the card when as many agree as it needs. Votes that were
// withdrawn do not count: where the others would suffice, the homeserver is asked for each of them, since not every homeserver
// tells of redactions.
func (s *Service) Tally(ctx context.Context, c Card) (Ballot, error) {
	votes, err := s.Store.Votes(ctx, c.ID)
	if err != nil {
		return Ballot{}, err
	}
	voters := make([]id.UserID, len(votes))
	for i, v := range votes {
		voters[i] = v.Voter
	}
	snap, err := s.electorate(ctx, c, voters...)
	if err != nil {
		return Ballot{}, err
	}
	counted := votes[:0]
	for _, v := range votes {
		if code, _ := mayVote(snap, c, v.Voter); code == "" {
			counted = append(counted, v)
		}
	}
	if count(c, counted).last == nil {
		return count(c, counted).ballot(c), nil
	}
	standing, err := s.standing(ctx, c, counted)
	if err != nil {
		return Ballot{}, err
	}
	result := count(c, standing)
	if result.last == nil {
		return result.ballot(c), nil
	}
	if c, err = s.decided(ctx, c, result); err != nil {
		return Ballot{}, err
	}
	return result.ballot(c), nil
}

// Recount counts the votes on an open card again after one may have been withdrawn.
func (s *Service) Recount(ctx context.Context, c Card) (Ballot, error) {
	votes, err := s.Store.Votes(ctx, c.ID)
	if err != nil {
		return Ballot{}, err
	}
	if _, err := s.standing(ctx, c, votes); err != nil {
		return Ballot{}, err
	}
	return s.Tally(ctx, c)
}

// standing returns the votes that were not withdrawn, and forgets the others.
func (s *Service) standing(ctx context.Context, c Card, votes []Vote) ([]Vote, error) {
	var standing []Vote
	for _, v := range votes {
		withdrawn, err := s.withdrawn(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("reading a vote again: %w", err)
		}
		if !withdrawn {
			standing = append(standing, v)
			continue
		}
		if err := s.Store.WithdrawVote(ctx, c.ID, v.Event); err != nil {
			return nil, err
		}
	}
	return standing, nil
}

// decided closes a card on which enough votes agree, if its question still stands.
func (s *Service) decided(ctx context.Context, c Card, t tally) (Card, error) {
	c, err := s.Review(ctx, c, true)
	if err != nil || c.State != CardOpen {
		return c, err
	}
	return s.close(ctx, c, Closing{State: t.state, By: t.last.Voter, Answer: t.last.Reason})
}

// withdrawn tells whether the event of a vote was redacted. It is read as the bot: the vote that is served is another's. One that can't
// be read again does not count.
func (s *Service) withdrawn(ctx context.Context, v Vote) (bool, error) {
	ev, err := s.Store.Received(ctx, v.Event)
	if err == nil && ev.Redacted {
		return true, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	redacted, err := s.Homeserver.Redacted(ctx, v.Room, s.Self.Bot, v.Event)
	if Unseen(err) {
		return true, nil
	}
	return redacted, err
}

// tally is the state of a vote.
type tally struct {
	yes, no int64
	state   CardState // what is decided, if last is there
	last    *Vote     // the vote that completed it
}

func (t tally) ballot(c Card) Ballot { return Ballot{Card: c, For: t.yes, Against: t.no} }

// count counts votes in their order: what first has as many as the card needs is decided. Where both have, as after the
// withdrawal of others, it is declined.
func count(c Card, votes []Vote) (t tally) {
	for i := range votes {
		v := &votes[i]
		if v.Choice == Accept {
			t.yes++
			continue
		}
		t.no++
		if t.no == c.Votes {
			t.last, t.state = v, CardDeclined
			if v.Choice == BanThem {
				t.state = CardBanned
			}
		}
	}
	if t.last != nil || t.yes < c.Votes {
		return t
	}
	for i := len(votes) - 1; i >= 0; i-- {
		if votes[i].Choice == Accept {
			t.last, t.state = &votes[i], CardAccepted
			return t
		}
	}
	return t
}
