package cards_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
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
		w.HS.Member(lobby, user, "join")
	}
	w.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{
		"invite": 0, "users": map[string]any{alice.String(): 100, dora.String(): 50, emil.String(): 50, bot.String(): 50},
	})
	content := map[string]any{"version": 1, "approval": map[string]any{"required": true, "votes": votes, "expires": "1h"}}
	for key, value := range more {
		content[key] = value
	}
	w.HS.Set(lobby, policy.EventType, "", alice, content)
}

// asked has carol ask for bob's invitation, and returns the card.
func (w *world) asked(t *testing.T) invites.Card {
	t.Helper()
	req := w.Request(t, carol, bob)
	if row := w.MustAsk(t, req)[0]; row.Status != invites.StatusWaiting || row.Code != string(policy.CodeApproval) {
		t.Fatalf("the row is %s (%s), want one that waits", row.Status, row.Code)
	}
	w.MustAsk(t, req) // as after a crash before the answer
	todo, err := w.DB.CardsTodo(t.Context(), invites.CardTodo{Limit: 1000})
	if err != nil || len(todo) != 1 {
		t.Fatalf("%d cards, %v; want one", len(todo), err)
	}
	if err := w.DB.PostedCard(t.Context(), todo[0].ID, "$notice"); err != nil {
		t.Fatal(err)
	}
	todo[0].Event = "$notice"
	return todo[0]
}

// vote votes by a reaction, whose id it returns.
func (w *world) vote(t *testing.T, c invites.Card, voter id.UserID, choice invites.Choice) (cards.Ballot, id.EventID) {
	t.Helper()
	w.Next++
	event := id.EventID(fmt.Sprintf("$vote%d", w.Next))
	c, err := w.DB.CardOf(t.Context(), c.Command, c.Action, c.Room, c.Target)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Second)
	ballot, err := w.Cards.Vote(t.Context(), c, invites.Vote{
		Voter: voter, Choice: choice, Room: c.ShownIn, Event: event, Reason: "because", At: w.Clock.Now(),
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

func TestQuestionsThatAreGone(t *testing.T) {
	tests := []struct {
		name   string
		change func(*world, invites.Card)
		state  invites.CardState
		code   string // of the row
	}{
		{"nothing changed", func(*world, invites.Card) {}, invites.CardOpen, "policy.approval.required"},
		{"too late", func(w *world, _ invites.Card) { w.Clock.Advance(time.Hour) }, invites.CardExpired, invites.CodeExpired},
		{"the asker has left", func(w *world, _ invites.Card) { w.HS.Member(lobby, carol, "leave") }, invites.CardCancelled, invites.CodeAskerLeft},
		{"the person was banned", func(w *world, _ invites.Card) { w.HS.Member(lobby, bob, "ban") }, invites.CardCancelled, "invite.target_banned"},
		{"the command was redacted", func(w *world, c invites.Card) { w.HS.Redact(c.Command) }, invites.CardCancelled, invites.CodeRedacted},
		{"the card was redacted", func(w *world, c invites.Card) { w.HS.Redact(c.Event) }, invites.CardCancelled, invites.CodeRemoved},
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
		w.HS.Redact(c.Command)
		ballot, _ := w.vote(t, c, dora, invites.Accept)
		if ballot.Card.State != invites.CardCancelled || len(w.HS.Acts()) != 0 {
			t.Errorf("%s, with %d sent", ballot.Card.State, len(w.HS.Acts()))
		}
	})
}

// TestDecisionIsCheckedAgain: approval makes up for nothing but itself.
func TestDecisionIsCheckedAgain(t *testing.T) {
	tests := map[string]struct {
		change func(*world)
		code   string
	}{
		"the target was banned": {func(w *world) { w.HS.Member(lobby, bob, "ban") }, "invite.target_banned"},
		"the policy became stricter": {func(w *world) {
			w.court(1, map[string]any{"whom": map[string]any{"deny_users": []string{"@bob:here"}}})
		}, "policy.whom.user_denied"},
		"the asker lost the power":     {func(w *world) { w.Give(map[string]any{alice.String(): 100, dora.String(): 50}) }, "invite.power"},
		"somebody else invited them":   {func(w *world) { w.HS.Member(lobby, bob, "invite") }, "invite.already"},
		"approval is needed no more":   {func(w *world) { w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{}) }, "done"},
		"nothing":                      {func(*world) {}, "done"},
		"the policy can't be read now": {func(w *world) { w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 7}) }, "policy.malformed"},
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
	if row := w.MustAsk(t, w.Request(t, carol, fritz, "@next:here"))[1]; row.Code != "policy.quota.person" {
		t.Errorf("a second request is %s %s", row.Status, row.Code)
	}
	w.vote(t, c, dora, invites.Decline)
	if row := w.MustAsk(t, w.Request(t, carol, "@next:here"))[0]; row.Status != invites.StatusWaiting {
		t.Errorf("a request after a refusal is %s %s", row.Status, row.Code)
	}
}

// TestReach: a policy names no room that its author is not in, so that the bot neither writes nor looks there for them.
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
		{"another admin of the lobby is, who has not written it", []id.UserID{dora}, func(w *world) {
			w.Give(map[string]any{alice.String(): 100, dora.String(): 100})
		}, lobby, invites.CodeNoRoom},
		{"nobody is", nil, nil, lobby, invites.CodeNoRoom},
		{"an admin who may not speak there", []id.UserID{alice}, func(w *world) {
			w.HS.Set(office, "m.room.power_levels", "", fritz, map[string]any{"events_default": 50})
		}, lobby, invites.CodeNoRoom},
	}
	const boss = id.UserID("@boss:there")
	agree := func(by id.UserID, named ...id.RoomID) func(*world) {
		return func(w *world) {
			w.HS.Set(office, policy.EventType, "", by, map[string]any{"version": 1, "named_by": named})
		}
	}
	agreeAbove := func(power int) func(*world) { // a space of the office does
		return func(w *world) {
			const space = id.RoomID("!space:here")
			via := map[string]any{"via": []string{"here"}}
			w.HS.Create(space, "11", "@chief:there", bot, boss)
			w.HS.Set(space, "m.room.create", "", "@chief:there", map[string]any{"room_version": "11", "creator": "@chief:there", "type": "m.space"})
			w.HS.Set(space, "m.room.power_levels", "", "@chief:there", map[string]any{"users": map[string]any{boss.String(): power}})
			w.HS.Set(space, policy.EventType, "", boss, map[string]any{"version": 1, "named_by": []id.RoomID{lobby}})
			w.HS.Set(space, "m.space.child", string(office), "@chief:there", via)
			w.HS.Set(office, "m.space.parent", string(space), boss, via)
			w.HS.Claim(space, office)
		}
	}
	tests = append(tests, []struct {
		name    string
		members []id.UserID
		change  func(*world)
		shown   id.RoomID
		code    string
	}{
		{"nobody is, but the office agrees", nil, agree(boss, lobby), office, ""},
		{"a space of the office agrees", nil, agreeAbove(50), office, ""},
		{"a space agrees, by somebody who has lost the power there", nil, agreeAbove(40), lobby, invites.CodeNoRoom},
		{"the office agrees to another room", nil, agree(boss, "!other:here"), lobby, invites.CodeNoRoom},
		{"the office agrees by somebody without power", []id.UserID{fritz}, agree(fritz, lobby), lobby, invites.CodeNoRoom},
		{"the office agrees by a policy that can't be read", nil, func(w *world) {
			w.HS.Set(office, policy.EventType, "", boss, map[string]any{"version": 1, "named_by": []id.RoomID{lobby}, "x": 1})
		}, lobby, invites.CodeNoRoom},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.HS.Create(office, "11", boss, append(tt.members, bot)...)
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
			welcome := tt.shown == office || slices.Contains(tt.members, alice) // to look, the author need not speak
			if got := w.knock(t, "@boss:there"); (got.Card.State == invites.CardAccepted) != welcome {
				t.Errorf("a member of the office is %s", got.Card.State)
			}
		})
	}
}
