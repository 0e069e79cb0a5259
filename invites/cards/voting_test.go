package cards_test

import (
	"context"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
)

func TestVotes(t *testing.T) {
	yes, no := invites.Accept, invites.Decline
	type cast struct {
		voter  id.UserID
		choice invites.Choice
		code   string // why it does not count
	}
	tests := []struct {
		name  string
		votes int
		casts []cast
		state invites.CardState
		row   invites.Status
	}{
		{"one decides", 1, []cast{{dora, yes, ""}}, invites.CardAccepted, invites.StatusDone},
		{"one declines", 1, []cast{{dora, no, ""}}, invites.CardDeclined, invites.StatusRefused},
		{"one of two", 2, []cast{{dora, yes, ""}}, invites.CardOpen, invites.StatusWaiting},
		{"two of two, from another server too", 2, []cast{{dora, yes, ""}, {emil, yes, ""}}, invites.CardAccepted, invites.StatusDone},
		{"nobody counts twice", 2, []cast{{dora, yes, ""}, {dora, yes, ""}}, invites.CardOpen, invites.StatusWaiting},
		{"two who disagree", 2, []cast{{dora, yes, ""}, {emil, no, ""}}, invites.CardOpen, invites.StatusWaiting},
		{"the third decides", 2, []cast{{dora, yes, ""}, {emil, no, ""}, {alice, no, ""}}, invites.CardDeclined, invites.StatusRefused},
		{"a change of mind", 2, []cast{{dora, no, ""}, {emil, no, ""}, {dora, yes, "vote.closed"}}, invites.CardDeclined, invites.StatusRefused},
		{"a change of mind in time", 2, []cast{{dora, no, ""}, {dora, yes, ""}, {emil, yes, ""}}, invites.CardAccepted, invites.StatusDone},
		{"the asker", 1, []cast{{carol, yes, "vote.own"}}, invites.CardOpen, invites.StatusWaiting},
		{"the one it is about", 1, []cast{{bob, yes, "vote.target"}}, invites.CardOpen, invites.StatusWaiting},
		{"too little power", 1, []cast{{fritz, yes, "vote.power"}}, invites.CardOpen, invites.StatusWaiting},
		{"a stranger", 1, []cast{{"@eve:there", yes, "vote.power"}}, invites.CardOpen, invites.StatusWaiting},
		{"no ban of who is asked for", 1, []cast{{dora, invites.BanThem, "vote.ban"}}, invites.CardOpen, invites.StatusWaiting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.court(tt.votes, nil)
			c := w.asked(t)
			var ballot cards.Ballot
			for _, v := range tt.casts {
				if ballot, _ = w.vote(t, c, v.voter, v.choice); ballot.Code != v.code {
					t.Errorf("%s: %q (%s), want %q", v.voter, ballot.Code, ballot.Sentence, v.code)
				}
			}
			if ballot.Card.State != tt.state {
				t.Errorf("the card is %s, want %s", ballot.Card.State, tt.state)
			}
			if row := w.row(t, ballot.Card); row.Status != tt.row {
				t.Errorf("the row is %s %s, want %s", row.Status, row.Code, tt.row)
			}
			if sent := len(w.HS.Acts()); (sent == 1) != (tt.row == invites.StatusDone) {
				t.Errorf("%d sent", sent)
			}
		})
	}
}

// TestWithdrawnVote: what the homeserver knows of a redaction counts, whether anybody told or not.
func TestWithdrawnVote(t *testing.T) {
	w := newWorld(t)
	w.court(2, nil)
	c := w.asked(t)
	_, first := w.vote(t, c, dora, invites.Accept)
	w.HS.Redact(first)
	if ballot, _ := w.vote(t, c, emil, invites.Accept); ballot.Card.State != invites.CardOpen || ballot.For != 1 {
		t.Fatalf("%s with %d votes, want that it stays open with one", ballot.Card.State, ballot.For)
	}
	if ballot, _ := w.vote(t, c, alice, invites.Accept); ballot.Card.State != invites.CardAccepted || ballot.For != 2 {
		t.Errorf("%s with %d votes, want that two accept", ballot.Card.State, ballot.For)
	}
}

// readers notes as whom events were read again.
type readers struct {
	*invitestest.Homeserver
	seen []id.UserID
}

func (r *readers) Redacted(ctx context.Context, in id.RoomID, viewer id.UserID, event id.EventID) (bool, error) {
	r.seen = append(r.seen, viewer)
	return r.Homeserver.Redacted(ctx, in, viewer, event)
}

// TestVotesAreReadAsTheBot: while somebody's vote is served, nobody else is asserted, neither who voted before nor who asks.
func TestVotesAreReadAsTheBot(t *testing.T) {
	w := newWorld(t)
	w.court(2, nil)
	c := w.asked(t)
	r := &readers{Homeserver: w.HS}
	w.In.Homeserver = r
	w.Build()
	w.vote(t, c, dora, invites.Accept)
	if ballot, _ := w.vote(t, c, alice, invites.Accept); ballot.Card.State != invites.CardAccepted || len(r.seen) < 4 {
		t.Fatalf("%s, and %d events read again, want both votes, the command and the card", ballot.Card.State, len(r.seen))
	}
	for _, viewer := range r.seen {
		if viewer != bot {
			t.Errorf("read as %s", viewer)
		}
	}
}

// TestLostPower: a vote counts by the power at the time of the count.
func TestLostPower(t *testing.T) {
	w := newWorld(t)
	w.court(2, nil)
	c := w.asked(t)
	w.vote(t, c, dora, invites.Accept)
	w.HS.Member(lobby, dora, "leave")
	if ballot, _ := w.vote(t, c, emil, invites.Accept); ballot.Card.State != invites.CardOpen {
		t.Errorf("%s, want open: one of those who voted has left", ballot.Card.State)
	}
}
