package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func card(n int) invites.Card {
	return invites.Card{
		Kind: invites.CardKnock, Room: "!room", ShownIn: "!office", Command: id.EventID(fmt.Sprintf("$knock%d", n)), Home: "!room",
		Action: room.Knock, Actor: "@a:x", Target: "@a:x", Votes: 1, Level: 50, CreatedAt: epoch.Add(time.Duration(n) * time.Second),
		State: invites.CardOpen,
	}
}

func testCardKeepsEverything(t *testing.T, s Store) {
	ctx := t.Context()
	full := invites.Card{
		Kind: invites.CardApproval, Room: "!r", ShownIn: "!s", Event: "$shown", Command: "$c", Home: "!h", Action: room.Invite,
		Actor: "@a:x", Target: "@t:x", Performer: "@p:x", Reason: "why\x00", Remark: room.Say("text", "text", "mind"), Targets: []id.UserID{"@t:x", "@u:x"}, Policy: "$p", Votes: 3, Level: room.Infinite,
		CreatedAt: epoch, ExpiresAt: epoch.Add(time.Hour), State: invites.CardDeclined, Code: "code", ClosedBy: "@b:x", Answer: "no",
		ClosedAt: epoch.Add(time.Minute), Told: true,
	}
	stored := must(s.OpenCard(ctx, full))(t)
	if stored.ID == 0 || stored.Number != 1 {
		t.Errorf("stored as %d, number %d", stored.ID, stored.Number)
	}
	full.ID, full.Number = stored.ID, 1
	for how, find := range map[string]func() (invites.Card, error){
		"stored":   func() (invites.Card, error) { return stored, nil },
		"shown":    func() (invites.Card, error) { return s.CardShown(ctx, "$shown") },
		"numbered": func() (invites.Card, error) { return s.CardNumbered(ctx, "!s", 1) },
		"of":       func() (invites.Card, error) { return s.CardOf(ctx, "$c", room.Invite, "!r", "@t:x") },
	} {
		if got := must(find())(t); !reflect.DeepEqual(got, full) {
			t.Errorf("%s: got  %+v\nwant %+v", how, got, full)
		}
	}
	for how, find := range map[string]func() (invites.Card, error){
		"shown":    func() (invites.Card, error) { return s.CardShown(ctx, "") },
		"numbered": func() (invites.Card, error) { return s.CardNumbered(ctx, "!r", 1) },
		"of":       func() (invites.Card, error) { return s.CardOf(ctx, "$c", room.Invite, "!r", "@a:x") },
		"voted":    func() (invites.Card, error) { return s.CardVoted(ctx, "$none") },
	} {
		if got, err := find(); !errors.Is(err, invites.ErrNotFound) {
			t.Errorf("%s: got %+v, %v", how, got, err)
		}
	}
	if todo := must(s.CardsTodo(ctx, invites.CardTodo{Limit: 1000}))(t); len(todo) != 0 {
		t.Errorf("there is nothing to do about %+v", todo)
	}
}

// testOpenCards selects and counts open cards by what they are about.
func testOpenCards(t *testing.T, s Store) {
	ctx := t.Context()
	for n := range 6 {
		c := card(n)
		if n >= 3 {
			c.Kind = invites.CardApproval
		}
		if n%2 == 1 {
			c.Room, c.ShownIn, c.Actor = "!elsewhere", "!office2", "@other:x"
		}
		must(s.OpenCard(ctx, c))(t)
	}
	closed := card(6)
	closed.State = invites.CardExpired
	must(s.OpenCard(ctx, closed))(t)
	for _, tt := range []struct {
		q    invites.CardQuery
		want int
	}{
		{invites.CardQuery{Kind: invites.CardKnock}, 3}, {invites.CardQuery{Kind: invites.CardApproval}, 3},
		{invites.CardQuery{Kind: invites.CardKnock, Room: "!room"}, 2}, {invites.CardQuery{Kind: invites.CardApproval, Room: "!room"}, 1},
		{invites.CardQuery{Kind: invites.CardKnock, ShownIn: "!office2"}, 1}, {invites.CardQuery{Kind: invites.CardApproval, Actor: "@other:x"}, 2},
		{invites.CardQuery{Kind: invites.CardKnock, Room: "!room", Actor: "@other:x"}, 0},
	} {
		list, n := must(s.OpenCards(ctx, tt.q))(t), must(s.CountCards(ctx, tt.q))(t)
		if len(list) != tt.want || n != tt.want || !slices.IsSortedFunc(list, func(a, b invites.Card) int { return int(a.ID - b.ID) }) {
			t.Errorf("%+v: %d cards, counted %d, want %d", tt.q, len(list), n, tt.want)
		}
	}
}

// testCardNumbers opens cards side by side: each room counts its own, without gaps, and a question has one card.
func testCardNumbers(t *testing.T, s Store) {
	ctx := t.Context()
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			c := card(n / 2) // each twice
			if n%4 >= 2 {
				c.ShownIn = "!other"
			}
			if _, err := s.OpenCard(ctx, c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	numbers := map[id.RoomID][]int64{}
	for _, c := range must(s.CardsTodo(ctx, invites.CardTodo{Limit: 1000}))(t) {
		numbers[c.ShownIn] = append(numbers[c.ShownIn], c.Number)
	}
	for in, got := range numbers {
		slices.Sort(got)
		if want := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
			t.Errorf("%s has the numbers %v", in, got)
		}
	}
}

func testVotes(t *testing.T, s Store) {
	ctx := t.Context()
	c := must(s.OpenCard(ctx, card(1)))(t)
	check(t, s.PostedCard(ctx, c.ID, "$notice"))
	vote := func(voter id.UserID, choice invites.Choice, event id.EventID, after time.Duration) invites.Vote {
		return invites.Vote{Voter: voter, Choice: choice, Room: "!office", Event: event, Reason: "because", At: epoch.Add(after)}
	}
	for _, v := range []invites.Vote{
		vote("@b:x", invites.Accept, "$1", 1), vote("@c:x", invites.Decline, "$2", 2*time.Second), vote("@b:x", invites.BanThem, "$3", 3*time.Second),
	} {
		if cast := must(s.CastVote(ctx, c.ID, v))(t); !cast {
			t.Errorf("%+v is not counted", v)
		}
	}
	want := []invites.Vote{vote("@c:x", invites.Decline, "$2", 2*time.Second), vote("@b:x", invites.BanThem, "$3", 3*time.Second)}
	if got := must(s.Votes(ctx, c.ID))(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if voted := must(s.CardVoted(ctx, "$3"))(t); voted.ID != c.ID || voted.Event != "$notice" {
		t.Errorf("a vote is on %+v", voted)
	}
	check(t, s.WithdrawVote(ctx, c.ID, "$1")) // replaced before
	check(t, s.WithdrawVote(ctx, c.ID, "$2"))
	if got := must(s.Votes(ctx, c.ID))(t); !reflect.DeepEqual(got, want[1:]) {
		t.Errorf("got %+v after a withdrawal", got)
	}
	must(s.CloseCard(ctx, invites.Closing{Card: c.ID, State: invites.CardExpired, At: epoch}))(t)
	if cast := must(s.CastVote(ctx, c.ID, vote("@d:x", invites.Accept, "$4", 0)))(t); cast {
		t.Error("a vote on a closed card counts")
	}
}

// testCloseCard closes a card from many sides at once: one of them wins, and its row is the only one.
func testCloseCard(t *testing.T, s Store) {
	ctx := t.Context()
	c := must(s.OpenCard(ctx, card(1)))(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	var winners []id.UserID
	for n := range 8 {
		all.Go(func() {
			by := id.UserID(fmt.Sprintf("@judge%d:x", n))
			row := invitation(n)
			row.Request, row.Command, row.Target, row.Actor = string(c.Command), c.Command, c.Target, by
			row.Action = []room.ActionType{room.Invite, room.Kick}[n%2]
			closed, err := s.CloseCard(ctx, invites.Closing{
				Card: c.ID, State: invites.CardAccepted, By: by, Answer: "so be it", At: epoch, Row: &row,
				Audit: []invites.Audit{{At: epoch, Kind: "vote", Request: string(c.Command), Actor: by}},
			})
			if err != nil {
				t.Error(err)
			}
			if mu.Lock(); closed {
				winners = append(winners, by)
			}
			mu.Unlock()
		})
	}
	all.Wait()
	now := must(s.CardOf(ctx, c.Command, c.Action, c.Room, c.Target))(t)
	rows, audit := must(s.ChangesOf(ctx, string(c.Command)))(t), must(s.Audit(ctx, string(c.Command)))(t)
	if len(winners) != 1 || now.ClosedBy != winners[0] || len(rows) != 1 || rows[0].Actor != winners[0] || len(audit) != 1 {
		t.Errorf("%v won; the card is %+v, with %d rows and %d audit rows", winners, now, len(rows), len(audit))
	}
	if due := must(s.CardsTodo(ctx, invites.CardTodo{Due: epoch.AddDate(100, 0, 0), Limit: 1000}))(t); len(due) != 1 {
		t.Errorf("due: %+v", due)
	}
	if todo := must(s.CardsTodo(ctx, invites.CardTodo{Limit: 1000}))(t); len(todo) != 1 {
		t.Errorf("%d cards are to be told, want 1", len(todo))
	}
	check(t, s.ToldCard(ctx, c.ID))
	if todo := must(s.CardsTodo(ctx, invites.CardTodo{Limit: 1000}))(t); len(todo) != 0 {
		t.Errorf("%+v is still to be told", todo)
	}
}

// testCloseWaiting lets a row that waits for a card go on, or end, in the commit that closes it.
func testCloseWaiting(t *testing.T, s Store) {
	ctx := t.Context()
	for n, end := range []invites.Status{invites.StatusOpen, invites.StatusRefused} {
		row := invitation(n)
		row.Request, row.Command, row.Status = fmt.Sprintf("$ask%d", n), id.EventID(fmt.Sprintf("$ask%d", n)), invites.StatusWaiting
		spent := must(s.Spent(ctx, row.Room, invites.SpentBy{}, time.Time{}))(t)
		charge := invites.Charge{Room: row.Room, Version: spent.Version, Server: "x", At: epoch, For: []invites.Change{row}}
		row = must(s.Record(ctx, []invites.Change{row}, nil, charge))(t)[0]
		if due := must(s.Due(ctx, epoch.Add(time.Hour), 0, 10))(t); slices.Contains(due, row.ID) {
			t.Error("a row that waits is due")
		}
		if _, claimed, err := claimOne(ctx, s, row.ID, epoch, time.Minute); claimed || err != nil {
			t.Errorf("a row that waits is claimed: %v %v", claimed, err)
		}
		c := must(s.OpenCard(ctx, card(n)))(t)
		decided := row
		decided.Status, decided.DueAt, decided.Code = end, epoch.Add(time.Minute), "x"
		must(s.CloseCard(ctx, invites.Closing{Card: c.ID, State: invites.CardAccepted, At: epoch, Row: &decided}))(t)
		if got := must(s.ChangesOf(ctx, string(row.Command)))(t); !reflect.DeepEqual(got, []invites.Change{decided}) {
			t.Errorf("got  %+v\nwant %+v", got, decided)
		}
		left := must(s.Spent(ctx, row.Room, invites.SpentBy{}, time.Time{}))(t)
		if want := 1; len(left.List) != want { // the refused one is given back
			t.Errorf("%d are spent after %s, want %d", len(left.List), end, want)
		}
	}
}

func testKnocked(t *testing.T, s Store) {
	ctx := t.Context()
	for n := range 5 {
		must(s.OpenCard(ctx, card(n)))(t)
	}
	elsewhere := card(9)
	elsewhere.Room = "!elsewhere"
	must(s.OpenCard(ctx, elsewhere))(t)
	approval := card(10)
	approval.Kind = invites.CardApproval
	must(s.OpenCard(ctx, approval))(t)
	var got []id.EventID
	for _, c := range must(s.Knocked(ctx, "!room", epoch.Add(time.Second), 2))(t) {
		got = append(got, c.Command)
	}
	if want := []id.EventID{"$knock4", "$knock3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
