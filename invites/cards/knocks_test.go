package cards_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/policy"
	"usher/room"
)

// knock has somebody knock at the lobby.
func (w *world) knock(t *testing.T, user id.UserID) cards.Reception {
	t.Helper()
	w.Next++
	w.Clock.Advance(time.Second)
	w.HS.Member(lobby, user, "knock")
	got, err := w.Knocks.Receive(t.Context(), cards.Knock{Event: id.EventID(fmt.Sprintf("$knock%d", w.Next)), Room: lobby, User: user, Reason: "please"})
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
			acts := w.HS.Acts()
			if len(acts) != 1 || acts[0].Performer != tt.performer || acts[0].Reason != tt.reason {
				t.Fatalf("sent %+v", acts)
			}
			snap, _ := w.HS.Snapshot(t.Context(), lobby, bot, nil, true)
			if got, _ := snap.Membership(bob); got != tt.membership {
				t.Errorf("they are %s, want %s", got, tt.membership)
			}
		})
	}
}

// club is another room.
const club = id.RoomID("!club:here")

func TestKnockAtOnce(t *testing.T) {
	tests := []struct {
		name   string
		knocks map[string]any
		more   map[string]any
		state  invites.CardState // empty: no card
		remark bool
	}{
		{"no desk", map[string]any{"accept_users": []string{"@bob:here"}}, nil, "", false},
		{"nobody is named", map[string]any{"desk": true}, nil, invites.CardOpen, false},
		{"by user", map[string]any{"desk": true, "accept_users": []string{"@b*:here"}}, nil, invites.CardAccepted, false},
		{"by server", map[string]any{"desk": true, "accept_servers": []string{"here"}}, nil, invites.CardAccepted, false},
		{"as a member of another room", map[string]any{"desk": true, "accept_members_of": []string{string(club)}}, nil, invites.CardAccepted, false},
		{"of an unknown room", map[string]any{"desk": true, "accept_members_of": []string{"!x:here"}}, nil, invites.CardOpen, false},
		{"whoever else may ask", map[string]any{"desk": true, "accept_servers": []string{"here"}},
			map[string]any{"ask": map[string]any{"users": []string{"@dora:here"}, "level": 60, "joined_for": "9w"}}, invites.CardAccepted, false},
		{"denied comes first", map[string]any{"desk": true, "accept_servers": []string{"here"}},
			map[string]any{"whom": map[string]any{"deny_users": []string{"@bob:*"}}}, invites.CardOpen, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			more := map[string]any{"knocks": tt.knocks}
			maps.Copy(more, tt.more)
			w.court(1, more)
			w.HS.Create(club, "11", alice, bot, bob)
			got := w.knock(t, bob)
			if tt.state == "" {
				if got.Card != nil {
					t.Fatalf("it became %+v", got.Card)
				}
				return
			}
			if got.Card == nil || got.Card.State != tt.state || got.Card.Remark.Empty() == tt.remark {
				t.Fatalf("it became %+v, want %s", got.Card, tt.state)
			}
			w.row(t, *got.Card)
			if acts := w.HS.Acts(); (len(acts) == 1 && acts[0].Action == room.Invite) != (tt.state == invites.CardAccepted) {
				t.Errorf("sent %+v", acts)
			}
		})
	}
}

// TestKnockAccepted: a knock that the policy accepted is looked at again when its invitation is sent: by then the policy may want it no more, or the
// user may have left the room whose members it lets in.
func TestKnockAccepted(t *testing.T) {
	members := map[string]any{"desk": true, "accept_members_of": []string{string(club)}}
	for name, change := range map[string]struct {
		change func(*world)
		code   string
	}{
		"nothing":               {func(*world) {}, invites.CodeDone},
		"left the other room":   {func(w *world) { w.HS.Member(club, bob, "leave") }, "policy.knocks.author"},
		"another policy":        {func(w *world) { w.court(1, map[string]any{"knocks": map[string]any{"desk": true}}) }, "policy.knocks.author"},
		"no policy":             {func(w *world) { w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{}) }, "policy.knocks.author"},
		"policy unreadable":     {func(w *world) { w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{"knocks": 1}) }, "policy.knocks.author"},
		"bot out of the others": {func(w *world) { w.HS.Member(club, alice, "leave") }, "policy.knocks.author"},
		"denied": {func(w *world) {
			w.court(1, map[string]any{"knocks": members, "whom": map[string]any{"deny_users": []string{"@bob:*"}}})
		}, "policy.knocks.author"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.court(1, map[string]any{"knocks": members})
			w.HS.Create(club, "11", alice, bot, bob)
			got := w.knock(t, bob)
			if got.Card == nil || got.Card.State != invites.CardAccepted {
				t.Fatalf("it became %+v", got.Card)
			}
			change.change(w)
			row := w.row(t, *got.Card)
			if row.Code != change.code || (row.Status == invites.StatusDone) != (change.code == invites.CodeDone) || row.Status == invites.StatusRefused && row.Detail.Empty() {
				t.Errorf("%s %s %v, want %s", row.Status, row.Code, row.Detail, change.code)
			}
			if acts := w.HS.Acts(); (len(acts) == 1) != (change.code == invites.CodeDone) {
				t.Errorf("sent %+v", acts)
			}
		})
	}
}

// TestKnockLent: each field that lets people in lends the power of its own author, whatever another author's fields are.
func TestKnockLent(t *testing.T) {
	const space = id.RoomID("!space:here")
	via := map[string]any{"via": []string{"here"}}
	for path, value := range map[string][]string{"accept_users": {"@b*:here"}, "accept_servers": {"here"}, "accept_members_of": {string(club)}} {
		own, nobody := "accept_users", "@nobody:nowhere"
		if path == own {
			own, nobody = "accept_servers", "nowhere"
		}
		for author, state := range map[id.UserID]invites.CardState{alice: invites.CardAccepted, fritz: invites.CardOpen} {
			w := newWorld(t)
			w.court(1, map[string]any{"knocks": map[string]any{"desk": true, own: []string{nobody}}})
			w.Give(map[string]any{string(alice): 100, string(bot): 50}) // fritz may not invite
			w.HS.Create(club, "11", "@chief:there", bot, bob, alice, fritz)
			w.HS.Create(space, "11", "@chief:there", bot, alice, fritz)
			w.HS.Set(space, "m.room.create", "", "@chief:there", map[string]any{"room_version": "11", "creator": "@chief:there", "type": "m.space"})
			w.HS.Set(space, "m.room.power_levels", "", "@chief:there", map[string]any{"users": map[string]any{string(alice): 50, string(fritz): 50}})
			w.HS.Set(space, policy.EventType, "", author, map[string]any{"version": 1, "knocks": map[string]any{path: value}})
			w.HS.Set(space, "m.space.child", string(lobby), "@chief:there", via)
			w.HS.Set(lobby, "m.space.parent", string(space), alice, via)
			w.HS.Claim(space, lobby)
			if got := w.knock(t, bob); got.Card == nil || got.Card.State != state {
				t.Errorf("%s by %s: %+v, want %s", path, author, got.Card, state)
			}
		}
	}
}

// TestKnockAgainAndAgain: whoever knocks and goes, over and over, does not fill the room with cards; others are not worse off.
func TestKnockAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{"desk": true}})
	shownCards := 0
	for n := range 8 {
		got := w.knock(t, bob)
		if got.Card != nil {
			shownCards++
			if again, err := w.Knocks.Receive(t.Context(), cards.Knock{Event: got.Card.Command, Room: lobby, User: bob}); err != nil || again.Card == nil {
				t.Errorf("the same knock after a crash: %+v %v", again, err)
			}
		}
		if shown := got.Card != nil; shown != (n < 3) {
			t.Errorf("knock %d is shown: %t", n, shown)
		}
		w.HS.Member(lobby, bob, "leave")
	}
	if got := w.knock(t, "@other:there"); got.Card == nil {
		t.Error("somebody else's knock is not shown")
	}
	w.Clock.Advance(time.Hour)
	if got := w.knock(t, bob); got.Card == nil || shownCards != 3 {
		t.Errorf("an hour later: %+v, after %d cards", got, shownCards)
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
	w.Clock.Advance(11 * time.Minute)
	if state := knock(20); state != invites.CardAccepted {
		t.Errorf("a knock when it has calmed down is %s", state)
	}
}

// TestKnockAgainstThePolicy: people decide on somebody whom the policy would refuse, but can't go past it.
func TestKnockAgainstThePolicy(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{"desk": true}, "whom": map[string]any{"deny_users": []string{"@bob:*"}}})
	card := w.knock(t, bob).Card
	ballot, _ := w.vote(t, *card, dora, invites.Accept)
	if row := w.row(t, ballot.Card); row.Status != invites.StatusRefused || row.Code != "policy.whom.user_denied" || len(w.HS.Acts()) != 0 {
		t.Errorf("accepted: %+v", row)
	}
}

// TestManyKnock: a crowd at one door does not fill the bot with cards for ever.
func TestManyKnock(t *testing.T) {
	const most = 200
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{"desk": true, "accept_users": []string{"@friend:*"}}})
	var first invites.Card
	for n := range most + 5 {
		if n%50 == 0 {
			w.Clock.Advance(time.Hour) // slow enough for the rates
		}
		got := w.knock(t, id.UserID(fmt.Sprintf("@guest%d:s%d.example", n, n/10)))
		if shown := got.Card != nil; shown != (n < most) {
			t.Fatalf("knock %d is shown: %t", n, shown)
		}
		if n == 0 {
			first = *got.Card
		}
	}
	if got := w.knock(t, "@friend:there"); got.Card == nil || got.Card.State != invites.CardAccepted {
		t.Errorf("whom the policy lets in is kept waiting: %+v", got)
	}
	w.vote(t, first, dora, invites.Decline)
	if err := w.DB.ToldCard(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.knock(t, "@late:there"); got.Card == nil {
		t.Error("one has been decided, and the next is not shown")
	}
}

// crowded is a store with many knocks.
type crowded struct{ cards.KnockStore }

func (crowded) Knocked(_ context.Context, _ id.RoomID, _ time.Time, limit int) ([]invites.Card, error) {
	return make([]invites.Card, min(limit, 90_000)), nil
}

// TestBreakerOfMany: a breaker that takes many knocks breaks, too.
func TestBreakerOfMany(t *testing.T) {
	s := &cards.Knocks{Store: crowded{}}
	for _, count := range []int64{1, 999, 1000, 1001, 50_000} {
		paused, first, err := cards.Breaker(s, t.Context(), cards.Knock{Event: "$k"}, policy.Rate{Count: count, Per: time.Hour}, time.Time{})
		if !paused || !first || err != nil {
			t.Errorf("%d: %t %t %v", count, paused, first, err)
		}
	}
}

// TestKnockIsBounded: a card keeps a part of a long reason, and expires.
func TestKnockIsBounded(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{"desk": true}})
	w.HS.Member(lobby, bob, "knock")
	got, err := w.Knocks.Receive(t.Context(), cards.Knock{Event: "$long", Room: lobby, User: bob, Reason: strings.Repeat("é", 30_000)})
	if err != nil || got.Card == nil || len(got.Card.Reason) != 500 {
		t.Fatalf("%+v %v, want a card with 500 bytes of the reason", got.Card, err)
	}
	w.Clock.Advance(7*24*time.Hour + time.Second)
	if c, err := w.Cards.Review(t.Context(), *got.Card, false); err != nil || c.State != invites.CardExpired {
		t.Errorf("%+v %v after a week, want it expired", c, err)
	}
	if acts := w.HS.Acts(); len(acts) != 0 {
		t.Errorf("the end of the card sent %+v", acts)
	}
}

// TestKnockRates: the knocks of one server, and of all, become so many cards an hour. Then the desk is full.
func TestKnockRates(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{"desk": true}})
	shown := func(server string, n int) (open int) {
		for i := range n {
			got := w.knock(t, id.UserID(fmt.Sprintf("@sock%d:%s", i, server)))
			if got.Card != nil {
				open++
			} else if got.Full == nil || got.Full.Room != lobby || got.Full.Open == 0 {
				t.Errorf("neither a card nor a full desk: %+v", got)
			}
		}
		return open
	}
	if n := shown("flood.example", 30); n != 20 {
		t.Errorf("%d cards for one server, want 20", n)
	}
	if n := shown("other.example", 1); n != 1 {
		t.Error("the knock of another server has no card")
	}
	for i := range 50 {
		shown(fmt.Sprintf("s%d.example", i), 1)
	}
	if n, err := w.DB.CountCards(t.Context(), invites.CardQuery{Kind: invites.CardKnock, Room: lobby}); err != nil || n != 60 {
		t.Errorf("%d cards %v, want 60 within the hour", n, err)
	}
	w.Clock.Advance(time.Hour)
	if n := shown("later.example", 1); n != 1 {
		t.Error("no card an hour later")
	}
}

// TestKnockKept: a knock is no less one while the homeserver keeps back what tells of it.
func TestKnockKept(t *testing.T) {
	w := newWorld(t)
	w.court(1, map[string]any{"knocks": map[string]any{"desk": true}})
	w.HS.Member(lobby, bob, "knock")
	k := cards.Knock{Event: "$knock", Room: lobby, User: bob}
	for _, kept := range []room.Key{policy.Key(), room.MemberKey(bob)} {
		w.HS.Kept = []room.Key{kept}
		if got, err := w.Knocks.Receive(t.Context(), k); !errors.Is(err, invites.ErrKept) {
			t.Errorf("%v: %+v %v", kept, got, err)
		}
	}
	w.HS.Kept = nil
	if got, err := w.Knocks.Receive(t.Context(), k); err != nil || got.Card == nil {
		t.Errorf("%+v %v", got, err)
	}
}
