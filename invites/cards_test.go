package invites_test

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
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
	if row := w.ask(t, req)[0]; row.Status != invites.Waiting || row.Code != string(policy.CodeApproval) {
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
func (w *world) vote(t *testing.T, c invites.Card, voter id.UserID, choice invites.Choice) (invites.Ballot, id.EventID) {
	t.Helper()
	w.next++
	event := id.EventID(fmt.Sprintf("$vote%d", w.next))
	c, err := w.db.CardOf(t.Context(), c.Command, c.Action, c.Room, c.Target)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	ballot, err := w.Vote(t.Context(), c, invites.Vote{
		Voter: voter, Choice: choice, Room: c.ShownIn, Event: event, Reason: "because", At: w.clock.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ballot, event
}

// row carries a card out and returns what came of it.
func (w *world) row(t *testing.T, c invites.Card) invites.Invitation {
	t.Helper()
	row, err := w.CarryOut(t.Context(), c)
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
		{"one decides", 1, []cast{{dora, yes, ""}}, invites.CardAccepted, invites.Done},
		{"one declines", 1, []cast{{dora, no, ""}}, invites.CardDeclined, invites.Refused},
		{"one of two", 2, []cast{{dora, yes, ""}}, invites.CardOpen, invites.Waiting},
		{"two of two, from another server too", 2, []cast{{dora, yes, ""}, {emil, yes, ""}}, invites.CardAccepted, invites.Done},
		{"nobody counts twice", 2, []cast{{dora, yes, ""}, {dora, yes, ""}}, invites.CardOpen, invites.Waiting},
		{"two who disagree", 2, []cast{{dora, yes, ""}, {emil, no, ""}}, invites.CardOpen, invites.Waiting},
		{"the third decides", 2, []cast{{dora, yes, ""}, {emil, no, ""}, {alice, no, ""}}, invites.CardDeclined, invites.Refused},
		{"a change of mind", 2, []cast{{dora, no, ""}, {emil, no, ""}, {dora, yes, "vote.closed"}}, invites.CardDeclined, invites.Refused},
		{"a change of mind in time", 2, []cast{{dora, no, ""}, {dora, yes, ""}, {emil, yes, ""}}, invites.CardAccepted, invites.Done},
		{"the asker", 1, []cast{{carol, yes, "vote.own"}}, invites.CardOpen, invites.Waiting},
		{"the one it is about", 1, []cast{{bob, yes, "vote.target"}}, invites.CardOpen, invites.Waiting},
		{"too little power", 1, []cast{{fritz, yes, "vote.power"}}, invites.CardOpen, invites.Waiting},
		{"a stranger", 1, []cast{{"@eve:there", yes, "vote.power"}}, invites.CardOpen, invites.Waiting},
		{"no ban of who is asked for", 1, []cast{{dora, invites.BanThem, "vote.ban"}}, invites.CardOpen, invites.Waiting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.court(tt.votes, nil)
			c := w.asked(t)
			var ballot invites.Ballot
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
			if sent := len(w.hs.Acts()); (sent == 1) != (tt.row == invites.Done) {
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
			c, err := w.Review(t.Context(), c, true)
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
	if row := w.ask(t, w.request(t, carol, "@next:here"))[0]; row.Status != invites.Waiting {
		t.Errorf("a request after a refusal is %s %s", row.Status, row.Code)
	}
}

// knock has somebody knock at the lobby.
func (w *world) knock(t *testing.T, user id.UserID) invites.Reception {
	t.Helper()
	w.next++
	w.clock.Advance(time.Second)
	w.hs.Member(lobby, user, "knock")
	got, err := w.Knock(t.Context(), invites.Knock{Event: id.EventID(fmt.Sprintf("$knock%d", w.next)), Room: lobby, User: user, Reason: "please"})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestKnockDecided(t *testing.T) {
	tests := []struct {
		choice     invites.Choice
		voter      id.UserID
		membership string
		performer  id.UserID
		reason     string
	}{
		{invites.Accept, dora, "invite", dora, ""},
		{invites.Accept, emil, "invite", bot, ""},
		{invites.Decline, dora, "leave", dora, "because"},
		{invites.BanThem, dora, "ban", dora, "because"},
	}
	for _, tt := range tests {
		t.Run(string(tt.choice)+" by "+tt.voter.String(), func(t *testing.T) {
			w := newWorld(t)
			w.court(1, map[string]any{"knocks": map[string]any{"desk": true}})
			card := w.knock(t, bob).Card
			if card == nil || card.State != invites.CardOpen || card.Reason != "please" {
				t.Fatalf("the knock became %+v", card)
			}
			if ballot, _ := w.vote(t, *card, bob, tt.choice); ballot.Code != "vote.own" {
				t.Errorf("who knocks decides: %+v", ballot)
			}
			ballot, _ := w.vote(t, *card, tt.voter, tt.choice)
			w.row(t, ballot.Card)
			w.row(t, ballot.Card) // as after a crash
			acts := w.hs.Acts()
			if len(acts) != 1 || acts[0].Performer != tt.performer || acts[0].Reason != tt.reason {
				t.Fatalf("sent %+v", acts)
			}
			snap, _ := w.hs.Snapshot(t.Context(), lobby, bot, nil, true)
			if got, _ := snap.Membership(bob); got != tt.membership {
				t.Errorf("they are %s, want %s", got, tt.membership)
			}
		})
	}
}

func TestKnockAtOnce(t *testing.T) {
	const club = id.RoomID("!club:here")
	tests := []struct {
		name   string
		knocks map[string]any
		whom   map[string]any
		state  invites.CardState // empty: no card
		remark bool
	}{
		{"no desk", map[string]any{"accept_users": []string{"@bob:here"}}, nil, "", false},
		{"nobody is named", map[string]any{"desk": true}, nil, invites.CardOpen, false},
		{"by user", map[string]any{"desk": true, "accept_users": []string{"@b*:here"}}, nil, invites.CardAccepted, false},
		{"by server", map[string]any{"desk": true, "accept_servers": []string{"here"}}, nil, invites.CardAccepted, false},
		{"as a member of another room", map[string]any{"desk": true, "accept_members_of": []string{string(club)}}, nil, invites.CardAccepted, false},
		{"of an unknown room", map[string]any{"desk": true, "accept_members_of": []string{"!x:here"}}, nil, invites.CardOpen, false},
		{"denied comes first", map[string]any{"desk": true, "accept_servers": []string{"here"}},
			map[string]any{"deny_users": []string{"@bob:*"}}, invites.CardOpen, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			more := map[string]any{"knocks": tt.knocks}
			if tt.whom != nil {
				more["whom"] = tt.whom
			}
			w.court(1, more)
			w.hs.Create(club, "11", alice, bot, bob)
			got := w.knock(t, bob)
			if tt.state == "" {
				if got.Card != nil {
					t.Fatalf("it became %+v", got.Card)
				}
				return
			}
			if got.Card == nil || got.Card.State != tt.state || (got.Card.Remark != "") != tt.remark {
				t.Fatalf("it became %+v, want %s", got.Card, tt.state)
			}
			w.row(t, *got.Card)
			if acts := w.hs.Acts(); (len(acts) == 1 && acts[0].Action == room.Invite) != (tt.state == invites.CardAccepted) {
				t.Errorf("sent %+v", acts)
			}
		})
	}
}

// TestBreaker: three knocks in ten minutes pause letting in at once, which is told once each time.
func TestBreaker(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{
		"desk": true, "accept_servers": []string{"*"}, "breaker": map[string]any{"count": 3, "per": "10m"},
	}})
	told := 0
	knock := func(n int) invites.CardState {
		got := w.knock(t, id.UserID(fmt.Sprintf("@guest%d:there", n)))
		if got.Paused {
			told++
		}
		return got.Card.State
	}
	for n := range 3 {
		if state := knock(n); state != invites.CardAccepted {
			t.Errorf("knock %d is %s", n, state)
		}
	}
	for n := range 4 {
		if state := knock(10 + n); state != invites.CardOpen {
			t.Errorf("knock %d while paused is %s", n, state)
		}
	}
	if told != 1 {
		t.Errorf("the pause was told %d times", told)
	}
	w.clock.Advance(11 * time.Minute)
	if state := knock(20); state != invites.CardAccepted {
		t.Errorf("a knock when it has calmed down is %s", state)
	}
}
