package cards

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Reason codes of votes which do not count.
const (
	CodeVoteOwn    = "vote.own"    // the voter asks
	CodeVoteTarget = "vote.target" // the card is about the voter
	CodeVotePower  = "vote.power"  // too little power in the room of the question, or not in it
	CodeVoteClosed = "vote.closed" // decided already
	CodeVoteBan    = "vote.ban"    // only knocking users can be banned by a card
	CodeVoteNone   = "vote.none"   // no choice on this card
	CodeVoteOther  = "vote.other"  // a confirmation, and the voter did not give the command
)

// Ballot is the result of a vote.
type Ballot struct {
	Card         invites.Card // as it is after the vote
	Code         string       // why the vote does not count; empty: it counts
	Sentence     room.Phrase  // the same for people
	For, Against int64        // valid votes so far
	After        id.EventID   // the vote, cast or withdrawn, after which it was counted; may be empty
}

// Vote counts a vote on a card and, when it completes the decision, closes the card.
func (s *Cards) Vote(ctx context.Context, c invites.Card, v invites.Vote) (Ballot, error) {
	if c.State != invites.CardOpen {
		return s.late(ctx, c, v)
	}
	if v.Choice == invites.Pause || v.Choice == invites.Resume {
		return Ballot{Card: c, Code: CodeVoteNone, Sentence: room.Say("vote.none")}, nil
	}
	if v.Choice == invites.BanThem && c.Kind != invites.CardKnock && c.Kind != invites.CardServer {
		return Ballot{Card: c, Code: CodeVoteBan, Sentence: room.Say("vote.ban")}, nil
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

// VoteNumber votes on the card with a number in its room. ErrNotFound where there is none, or where the voter is neither in that room nor in the
// room of the question.
func (s *Cards) VoteNumber(ctx context.Context, shownIn id.RoomID, number int64, v invites.Vote) (Ballot, error) {
	card, err := s.Store.CardNumbered(ctx, shownIn, number)
	if err != nil {
		return Ballot{}, err
	}
	if v.Room != shownIn {
		err = s.Judge.Reach.Member(ctx, shownIn, v.Voter)
		if errors.Is(err, judge.ErrNotJoined) && card.Room != shownIn {
			err = s.Judge.Reach.Member(ctx, card.Room, v.Voter)
		}
		if errors.Is(err, judge.ErrNotJoined) {
			err = invites.ErrNotFound
		}
	}
	if err != nil {
		return Ballot{}, err
	}
	return s.Vote(ctx, card, v)
}

// late counts a vote on a closed card: after a crash, perhaps the very vote which closed it.
func (s *Cards) late(ctx context.Context, c invites.Card, v invites.Vote) (Ballot, error) {
	votes, err := s.Store.Votes(ctx, c.ID)
	if err != nil {
		return Ballot{}, err
	}
	for _, counted := range votes {
		if counted.Event == v.Event && counted.Voter == v.Voter {
			return count(c, votes).ballot(c), nil
		}
	}
	return Ballot{Card: c, Code: CodeVoteClosed, Sentence: room.Say("vote.closed")}, nil
}

// electorate reads the state which decides on the votes to count. A confirmation needs none.
func (s *Cards) electorate(ctx context.Context, c invites.Card, voters ...id.UserID) (*room.Snapshot, error) {
	if c.Kind == invites.CardConfirm {
		return nil, nil
	}
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}}
	for _, voter := range voters {
		needs = append(needs, room.MemberKey(voter))
	}
	snap, err := s.Homeserver.Snapshot(ctx, c.Room, s.Self.Bot, needs, false)
	if errors.Is(err, invites.ErrNoView) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading who may vote: %w", err)
	}
	return snap, nil
}

// mayVote says why a vote does not count; an empty code: it does. A room out of sight gives nobody a vote.
func mayVote(s *room.Snapshot, c invites.Card, voter id.UserID) (code string, sentence room.Phrase) {
	switch {
	case c.Kind == invites.CardConfirm && voter == c.Actor:
		return "", sentence
	case c.Kind == invites.CardConfirm:
		return CodeVoteOther, room.Say("vote.other")
	case voter == c.Actor && c.Code != invites.CodeLinkApproval: // the policy asks for no other opinion than the maker's
		return CodeVoteOwn, room.Say("vote.own")
	case voter == c.Target:
		return CodeVoteTarget, room.Say("vote.target")
	}
	if s == nil {
		return CodeVotePower, room.Say("vote.unseen")
	}
	membership, known := s.Membership(voter)
	if !known || membership != "join" {
		return CodeVotePower, room.Say("vote.members")
	}
	if power, known := s.Power(voter); !known || power < c.Level {
		return CodeVotePower, room.Say("vote.power", "needed", c.Level, "had", power)
	}
	return "", sentence
}

// Tally counts the votes on an open card by the voters' power now, and closes the card when enough agree. Withdrawn votes do not count:
// where the others would suffice, the homeserver is asked for each, since not every homeserver tells of redactions.
func (s *Cards) Tally(ctx context.Context, c invites.Card) (Ballot, error) {
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
	c, no, err := s.decided(ctx, c, result)
	if err != nil {
		return Ballot{}, err
	}
	ballot := result.ballot(c)
	if no != nil {
		q := policy.Question{Action: room.Invite, Actor: result.last.Voter, Target: c.Target}
		ballot.Code, ballot.Sentence = string(no.Code), policy.Explain(q, *no).Phrase()
	}
	return ballot, nil
}

// Recount counts the votes on an open card again after one may have been withdrawn.
func (s *Cards) Recount(ctx context.Context, c invites.Card) (Ballot, error) {
	votes, err := s.Store.Votes(ctx, c.ID)
	if err != nil {
		return Ballot{}, err
	}
	if _, err := s.standing(ctx, c, votes); err != nil {
		return Ballot{}, err
	}
	return s.Tally(ctx, c)
}

// standing returns the votes without the withdrawn ones, and forgets the others.
func (s *Cards) standing(ctx context.Context, c invites.Card, votes []invites.Vote) ([]invites.Vote, error) {
	var standing []invites.Vote
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

// decided closes a card on which enough votes agree, if its question still stands. Where the operator's limits allow no further invitation, a
// knock stays open, without the vote, and the decision of the limit is returned. Invitations in need of approval were counted when they were asked for.
func (s *Cards) decided(ctx context.Context, c invites.Card, t tally) (invites.Card, *policy.Decision, error) {
	c, err := s.Review(ctx, c, true)
	if err != nil || c.State != invites.CardOpen {
		return c, nil, err
	}
	giveBack := func() {}
	if c.Kind == invites.CardKnock && t.state == invites.CardAccepted {
		var no *policy.Decision
		if no, giveBack = s.Limits.Spend(t.last.Voter, c.Target); no != nil {
			return c, no, s.Store.WithdrawVote(ctx, c.ID, t.last.Event)
		}
	}
	c, err = s.close(ctx, c, invites.Closing{State: t.state, By: t.last.Voter, Answer: t.last.Reason})
	if err != nil || c.ClosedBy != t.last.Voter {
		giveBack()
	}
	return c, nil, err
}

// withdrawn tells whether the event of a vote was redacted. It is read as the bot, since another user's vote is counted. An event which
// can't be read again does not count. A vote on a page has no event.
func (s *Cards) withdrawn(ctx context.Context, v invites.Vote) (bool, error) {
	if v.Room == "" {
		return false, nil
	}
	ev, err := s.Store.Received(ctx, v.Event)
	if err == nil && ev.Redacted {
		return true, nil
	}
	if err != nil && !errors.Is(err, invites.ErrNotFound) {
		return false, err
	}
	redacted, err := s.Homeserver.Redacted(ctx, v.Room, s.Self.Bot, v.Event)
	if invites.Unseen(err) {
		return true, nil
	}
	return redacted, err
}

// tally is the state of a vote.
type tally struct {
	yes, no int64
	state   invites.CardState // the decision, if last is there
	last    *invites.Vote     // the deciding vote
}

func (t tally) ballot(c invites.Card) Ballot { return Ballot{Card: c, For: t.yes, Against: t.no} }

// count counts votes in their order: the first choice with as many votes as the card needs is decided. Where both have, as after the
// withdrawal of others, the card is declined.
func count(c invites.Card, votes []invites.Vote) (t tally) {
	for i := range votes {
		v := &votes[i]
		if v.Choice == invites.Accept {
			t.yes++
			continue
		}
		t.no++
		if t.no == c.Votes {
			t.last, t.state = v, invites.CardDeclined
			if v.Choice == invites.BanThem {
				t.state = invites.CardBanned
			}
		}
	}
	if t.last != nil || t.yes < c.Votes {
		return t
	}
	for i := len(votes) - 1; i >= 0; i-- {
		if votes[i].Choice == invites.Accept {
			t.last, t.state = &votes[i], invites.CardAccepted
			return t
		}
	}
	return t
}
