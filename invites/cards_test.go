package invites_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
	"usher/policy"
)

// The judges of the lobby: two with the power to decide, and one without.
const (
	dora  = id.UserID("@dora:here")
	emil  = id.UserID("@emil:there")
	fritz = id.UserID("@fritz:here")
)

// court makes the lobby a room whose invitations need so many votes.
func (w *world) court(votes int, more map[string]any) {
	for _, user := range []id.UserID{dora, emil, fritz} {
		w.hs.Member(lobby, user, "join")
	}
	w.hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{
		"invite": 0, "users": map[string]any{alice.String(): 100, dora.String(): 50, emil.String(): 50, bot.String(): 50},
	})
	content := map[string]any{"version": 1, "approval": map[string]any{"required": true, "votes": votes, "expires": "1h"}}
	for key, value := range more {
		content[key] = value
	}
	w.hs.Set(lobby, policy.EventType, "", alice, content)
}

// asked has carol ask for bob's invitation, and returns the card.
func (w *world) asked(t *testing.T) invites.Card {
	t.Helper()
	req := w.request(t, carol, bob)
	if row := w.ask(t, req)[0]; row.Status != invites.StatusWaiting || row.Code != string(policy.CodeApproval) {
		t.Fatalf("the row is %s (%s), want one that waits", row.Status, row.Code)
	}
	w.ask(t, req) // as after a crash before the answer
	todo, err := w.db.CardsTodo(t.Context())
	if err != nil || len(todo) != 1 {
		t.Fatalf("%d cards, %v; want one", len(todo), err)
	}
	if err := w.db.PostedCard(t.Context(), todo[0].ID, "$notice"); err != nil {
		t.Fatal(err)
	}
	todo[0].Event = "$notice"
	return todo[0]
}

// vote votes by a reaction, whose id it returns.
func (w *world) vote(t *testing.T, c invites.Card, voter id.UserID, choice invites.Choice) (cards.Ballot, id.EventID) {
	t.Helper()
	w.next++
	event := id.EventID(fmt.Sprintf("$vote%d", w.next))
	c, err := w.db.CardOf(t.Context(), c.Command, c.Action, c.Room, c.Target)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	ballot, err := w.Cards.Vote(t.Context(), c, invites.Vote{
		Voter: voter, Choice: choice, Room: c.ShownIn, Event: event, Reason: "because", At: w.clock.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ballot, event
}

// row carries a card out and returns what came of it.
func (w *world) row(t *testing.T, c invites.Card) invites.Change {
	t.Helper()
	row, err := w.Cards.CarryOut(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

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
			if sent := len(w.hs.Acts()); (sent == 1) != (tt.row == invites.StatusDone) {
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
	w.hs.Redact(first)
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
	r := &readers{Homeserver: w.hs}
	w.in.Homeserver = r
	w.build()
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
	w.hs.Member(lobby, dora, "leave")
	if ballot, _ := w.vote(t, c, emil, invites.Accept); ballot.Card.State != invites.CardOpen {
		t.Errorf("%s, want open: one of those who voted has left", ballot.Card.State)
	}
}

func TestQuestionsThatAreGone(t *testing.T) {
	tests := []struct {
		name   string
		change func(*world, invites.Card)
		state  invites.CardState
		code   string // of the row
	}{
		{"nothing changed", func(*world, invites.Card) {}, invites.CardOpen, "policy.approval.required"},
		{"too late", func(w *world, _ invites.Card) { w.clock.Advance(time.Hour) }, invites.CardExpired, invites.CodeExpired},
		{"the asker has left", func(w *world, _ invites.Card) { w.hs.Member(lobby, carol, "leave") }, invites.CardCancelled, invites.CodeAskerLeft},
		{"the command was redacted", func(w *world, c invites.Card) { w.hs.Redact(c.Command) }, invites.CardCancelled, invites.CodeRedacted},
		{"the card was redacted", func(w *world, c invites.Card) { w.hs.Redact(c.Event) }, invites.CardCancelled, invites.CodeRemoved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.court(1, nil)
			c := w.asked(t)
			tt.change(w, c)
			c, err := w.Cards.Review(t.Context(), c, true)
			if err != nil || c.State != tt.state {
				t.Fatalf("the card is %s, %v; want %s", c.State, err, tt.state)
			}
			if row := w.row(t, c); row.Code != tt.code {
				t.Errorf("the row is %s %s, want %s", row.Status, row.Code, tt.code)
			}
		})
	}
	t.Run("seen when the decisive vote comes", func(t *testing.T) {
		w := newWorld(t)
		w.court(1, nil)
		c := w.asked(t)
		w.hs.Redact(c.Command)
		ballot, _ := w.vote(t, c, dora, invites.Accept)
		if ballot.Card.State != invites.CardCancelled || len(w.hs.Acts()) != 0 {
			t.Errorf("%s, with %d sent", ballot.Card.State, len(w.hs.Acts()))
		}
	})
}

// TestDecisionIsCheckedAgain: approval makes up for nothing but itself.
func TestDecisionIsCheckedAgain(t *testing.T) {
	tests := map[string]struct {
		change func(*world)
		code   string
	}{
		"the target was banned": {func(w *world) { w.hs.Member(lobby, bob, "ban") }, "invite.target_banned"},
		"the policy became stricter": {func(w *world) {
			w.court(1, map[string]any{"whom": map[string]any{"deny_users": []string{"@bob:here"}}})
		}, "policy.whom.user_denied"},
		"the asker lost the power":     {func(w *world) { w.give(map[string]any{alice.String(): 100, dora.String(): 50}) }, "invite.power"},
		"somebody else invited them":   {func(w *world) { w.hs.Member(lobby, bob, "invite") }, "invite.already"},
		"approval is needed no more":   {func(w *world) { w.hs.Set(lobby, policy.EventType, "", alice, map[string]any{}) }, "done"},
		"nothing":                      {func(*world) {}, "done"},
		"the policy can't be read now": {func(w *world) { w.hs.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 7}) }, "policy.malformed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.court(1, nil)
			c := w.asked(t)
			ballot, _ := w.vote(t, c, dora, invites.Accept)
			tt.change(w)
			if row := w.row(t, ballot.Card); row.Code != tt.code {
				t.Errorf("the row is %s %s (%s), want %s", row.Status, row.Code, row.Detail, tt.code)
			}
		})
	}
}

// TestApprovalIsPaidFor: asking spends, and a refusal gives back.
func TestApprovalIsPaidFor(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"quota": map[string]any{"person": map[string]any{"count": 1, "per": "1d"}}})
	c := w.asked(t)
	if row := w.ask(t, w.request(t, carol, fritz, "@next:here"))[1]; row.Code != "policy.quota.person" {
		t.Errorf("a second request is %s %s", row.Status, row.Code)
	}
	w.vote(t, c, dora, invites.Decline)
	if row := w.ask(t, w.request(t, carol, "@next:here"))[0]; row.Status != invites.StatusWaiting {
		t.Errorf("a request after a refusal is %s %s", row.Status, row.Code)
	}
}

// TestReach: a policy names no room that none of its writers is in, so that the bot neither writes nor looks there for them.
func TestReach(t *testing.T) {
	const office = id.RoomID("!office:here")
	tests := []struct {
		name    string
		members []id.UserID // of the office, beside its creator, who is nobody in the lobby
		change  func(*world)
		shown   id.RoomID
		code    string // of the card
	}{
		{"an admin of the lobby is in the office", []id.UserID{alice}, nil, office, ""},
		{"only somebody with too little power is", []id.UserID{fritz}, nil, lobby, invites.CodeNoRoom},
		{"nobody is", nil, nil, lobby, invites.CodeNoRoom},
		{"an admin who may not speak there", []id.UserID{alice}, func(w *world) {
			w.hs.Set(office, "m.room.power_levels", "", fritz, map[string]any{"events_default": 50})
		}, lobby, invites.CodeNoRoom},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.hs.Create(office, "11", "@boss:there", append(tt.members, bot)...)
			if tt.change != nil {
				tt.change(w)
			}
			w.court(1, map[string]any{
				"approval": map[string]any{"required": true, "room": string(office)},
				"knocks":   map[string]any{"desk": true, "room": string(office), "accept_members_of": []string{string(office)}},
			})
			if c := w.asked(t); c.ShownIn != tt.shown || c.Code != tt.code {
				t.Errorf("shown in %s (%q), want %s (%q)", c.ShownIn, c.Code, tt.shown, tt.code)
			}
			if got := w.knock(t, "@guest:there"); got.Card.ShownIn != tt.shown {
				t.Errorf("the knock is shown in %s, want %s", got.Card.ShownIn, tt.shown)
			}
			welcome := tt.shown == office || tt.change != nil // who looks need not speak
			if got := w.knock(t, "@boss:there"); (got.Card.State == invites.CardAccepted) != welcome {
				t.Errorf("a member of the office is %s", got.Card.State)
			}
		})
	}
}

// TestCardsAreLimited: nobody is asked for twice, and one command asks for so many at most.
func TestCardsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.court(1, nil)
	w.asked(t)
	if row := w.ask(t, w.request(t, dora, bob))[0]; row.Status != invites.StatusRefused || row.Code != invites.CodeAsked {
		t.Errorf("asked for again: %s %s (%s)", row.Status, row.Code, row.Detail)
	}
	var crowd []id.UserID
	for n := range 25 {
		crowd = append(crowd, id.UserID(fmt.Sprintf("@guest%d:there", n)))
	}
	refused := 0
	for _, row := range w.ask(t, w.request(t, dora, crowd...)) {
		if row.Code == invites.CodeTooMany {
			refused++
		}
	}
	if todo, err := w.db.CardsTodo(t.Context()); err != nil || refused != 5 || len(todo) != 21 {
		t.Errorf("%d refused, %d cards, %v; want 5 and 21", refused, len(todo), err)
	}
}

// TestManyAskedFor: whoever asks for approval, over and over, has so many cards open at most, wherever they are.
func TestManyAskedFor(t *testing.T) {
	w := newWorld(t)
	w.court(1, nil)
	ask := func(who id.UserID, n int) (waiting int, codes map[string]bool) {
		var targets []id.UserID
		for i := range 20 {
			targets = append(targets, id.UserID(fmt.Sprintf("@guest%d-%d:there", n, i)))
		}
		codes = map[string]bool{}
		for _, row := range w.ask(t, w.request(t, who, targets...)) {
			if codes[row.Code] = true; row.Status == invites.StatusWaiting {
				waiting++
			}
		}
		return waiting, codes
	}
	for n := range 5 {
		if waiting, codes := ask(carol, n); waiting != 20 {
			t.Fatalf("command %d: %d wait: %v", n, waiting, codes)
		}
	}
	if waiting, codes := ask(carol, 5); waiting != 0 || !codes[invites.CodeTooMany] {
		t.Errorf("%d wait: %v", waiting, codes)
	}
	if waiting, _ := ask(dora, 6); waiting != 20 {
		t.Errorf("somebody else: %d wait", waiting)
	}
}
