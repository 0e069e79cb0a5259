package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/cards"
	"usher/room"
)

// reacted is the annotations of every event: alice's vote, and events that are no votes.
type reacted struct{}

func (reacted) Annotations(context.Context, id.RoomID, id.EventID) (list []json.RawMessage, err error) {
	for _, raw := range []string{
		`{"type":"m.reaction","event_id":"$own","sender":"@usher:here","content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$answer","key":"✅"}}}`,
		`{"type":"m.reaction","event_id":"$heart","sender":"@alice:here","content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$answer","key":"❤"}}}`,
		`{"type":"m.reaction","event_id":"$vote","sender":"@alice:here","content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$answer","key":"❌"}}}`,
	} {
		list = append(list, json.RawMessage(raw))
	}
	return list, nil
}

// TestVoteBeforeTheCardIsKnown: alice votes on a card whose event Usher does not know yet. The vote is found once Usher knows the event, and
// counts.
func TestVoteBeforeTheCardIsKnown(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *fixture, *sent, invites.Card){
		"the answer to the card was lost": func(t *testing.T, b *fixture, s *sent, c invites.Card) {
			if err := b.Cards.sender.plain(t.Context(), c.ShownIn); err != nil || b.runner.Language(t.Context(), c.ShownIn) != "" { // both read the room's state into the cache
				t.Fatal(err)
			}
			if _, err := b.Cards.cases.Deciders(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			s.paths, s.status = nil, http.StatusBadGateway // it took effect all the same
			if err := b.Cards.postOf(t.Context(), c.Command); err == nil {
				t.Fatal("no error")
			}
			s.status = 0
			if err := b.Cards.postOf(t.Context(), c.Command); err != nil {
				t.Fatal(err)
			}
			if s.paths[0] != s.paths[1] {
				t.Errorf("posted under two transaction ids: %q", s.paths)
			}
		},
		"the process ended before it kept the answer": func(t *testing.T, b *fixture, _ *sent, c invites.Card) {
			if err := b.Cards.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := b.Cards.postOf(t.Context(), c.Command); err != nil {
				t.Fatal(err)
			}
		},
		"the process ended before it read the reactions": func(t *testing.T, b *fixture, _ *sent, c invites.Card) {
			if err := b.store.PostedCard(t.Context(), c.ID, "$answer"); err != nil {
				t.Fatal(err)
			}
			if err := b.Cards.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.Cards.Sweep(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := newChat(t)
			b.level = commands.User
			b.Cards.missed.annotations = reacted{}
			const r, command = id.RoomID("!r:here"), id.EventID("$command")
			c, err := b.store.OpenCard(t.Context(), invites.Card{
				Kind: invites.CardApproval, Room: r, ShownIn: r, Command: command, Home: r, Action: room.Invite, Actor: "@carol:here", Target: "@bob:there",
				Votes: 2, CreatedAt: time.Now(), State: invites.CardOpen,
			})
			if err != nil {
				t.Fatal(err)
			}
			begin(t, b, s, c)
			waiting, err := b.store.WaitingAfter(t.Context(), 0, 10)
			if err != nil || len(waiting) != 1 || waiting[0].Event != "$vote" {
				t.Fatalf("%+v %v in the inbox, want the vote", waiting, err)
			}
			if _, events := b.Lanes.Depth(); events != 1 {
				t.Errorf("%d events in lanes, want the vote", events)
			}
			b.handle(t, waiting[0])
			if votes, err := b.store.Votes(t.Context(), c.ID); err != nil || len(votes) != 1 || votes[0].Voter != "@alice:here" || votes[0].Choice != invites.Decline {
				t.Errorf("%+v %v: the vote does not count", votes, err)
			}
		})
	}
}

// swept counts the cards that sweeps read.
type swept struct {
	CardStore
	read int
	seen map[int64]bool
}

func (s *swept) CardsTodo(ctx context.Context, q invites.CardTodo) ([]invites.Card, error) {
	list, err := s.CardStore.CardsTodo(ctx, q)
	for _, c := range list {
		s.seen[c.ID] = true
	}
	s.read += len(list)
	return list, err
}

// TestSweepIsBounded: one sweep reads a few of very many open cards, and several sweeps read all.
func TestSweepIsBounded(t *testing.T) {
	b, _ := newChat(t)
	const n = 150
	for i := range n {
		c, err := b.store.OpenCard(t.Context(), invites.Card{
			Kind: invites.CardApproval, Room: "!r:here", ShownIn: "!r:here", Command: id.EventID(fmt.Sprint("$c", i)), Home: "!r:here", Action: room.Invite,
			Actor: "@carol:here", Target: "@bob:there", Votes: 2, CreatedAt: time.Now(), State: invites.CardOpen,
		})
		if err == nil {
			err = b.store.PostedCard(t.Context(), c.ID, id.EventID(fmt.Sprint("$n", i)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	count := &swept{CardStore: b.Cards.store, seen: map[int64]bool{}}
	b.Cards.store = count
	for range n/20 + 1 {
		count.read = 0
		if b.Cards.Sweep(t.Context()); count.read > 20 {
			t.Fatalf("a sweep read %d cards", count.read)
		}
	}
	if len(count.seen) != n {
		t.Errorf("sweeps read %d cards of %d", len(count.seen), n)
	}
}

// TestFullDeskIsTold: a room is told once that more knock than cards show.
func TestFullDeskIsTold(t *testing.T) {
	b, s := newChat(t)
	for range 3 {
		if err := b.Cards.tellFull(t.Context(), &cards.Crowd{Room: "!r:here", Open: 123}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.bodies) != 1 || !strings.Contains(s.bodies[0], "More people knock") || !strings.Contains(s.bodies[0], "123 of at most 200") {
		t.Errorf("sent %q, want one note", s.bodies)
	}
}

// troubledCards fails for the cards of one room.
type troubledCards struct {
	CardCases
	reviewed map[id.RoomID]int
}

func (c troubledCards) Review(_ context.Context, card invites.Card, _ bool) (invites.Card, error) {
	if c.reviewed[card.Room]++; card.Room == "!trouble:here" {
		return card, errors.New("trouble")
	}
	card.Event, card.CreatedAt = "", time.Now() // nothing to do
	return card, nil
}

func (c troubledCards) Annotations(_ context.Context, r id.RoomID, _ id.EventID) ([]json.RawMessage, error) {
	if c.reviewed[r]++; r == "!trouble:here" {
		return nil, errors.New("trouble")
	}
	return nil, nil
}

// TestSweepAmidTrouble: a room whose cards can't be looked after is asked about once in a sweep, and the others' cards have their turn.
func TestSweepAmidTrouble(t *testing.T) {
	b, _ := newChat(t)
	cases := troubledCards{b.Cards.cases, map[id.RoomID]int{}}
	b.Cards.cases = cases
	for i, r := range []id.RoomID{"!trouble:here", "!trouble:here", "!trouble:here", "!a:here", "!a:here"} {
		if _, err := b.store.OpenCard(t.Context(), invites.Card{
			Kind: invites.CardApproval, Room: r, ShownIn: r, Command: id.EventID(fmt.Sprint("$", i)), CreatedAt: time.Now(), State: invites.CardOpen,
		}); err != nil {
			t.Fatal(err)
		}
	}
	b.Cards.review(t.Context(), invites.CardTodo{Limit: 10}, false)
	if cases.reviewed["!trouble:here"] != 1 || cases.reviewed["!a:here"] != 2 {
		t.Errorf("reviewed %v", cases.reviewed)
	}
	clear(cases.reviewed)
	b.Cards.missed.annotations = cases
	for i := range 3 {
		b.Cards.missed.note("!trouble:here", id.EventID(fmt.Sprint("$t", i)))
		b.Cards.missed.note("!a:here", id.EventID(fmt.Sprint("$a", i)))
	}
	b.Cards.missed.collectAll(t.Context())
	if cases.reviewed["!trouble:here"] != 1 || cases.reviewed["!a:here"] != 3 {
		t.Errorf("reactions read %v", cases.reviewed)
	}
}
