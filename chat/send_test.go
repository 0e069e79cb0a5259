package chat

import (
	"bytes"
	"context"
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
	"usher/invites/requests"
	"usher/picture"
	"usher/policy"
	"usher/room"
)

// TestEncryptionOff: where the bot can't encrypt, it says nothing in encrypted rooms, and ends what it would have answered.
func TestEncryptionOff(t *testing.T) {
	var log bytes.Buffer
	b, s := newChat(t, logTo(&log))
	s.secret = true
	for _, ev := range put(t, b, "@alice:here", 3, "!r:here") {
		b.handle(t, ev)
	}
	if waiting, err := b.store.WaitingAfter(t.Context(), 0, 10000); err != nil || len(waiting) != 0 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
	m, image := commands.Message{}, commands.Reply{Image: &commands.Image{Picture: picture.Picture{PNG: []byte("picture")}, Name: "tree.png"}}
	if err := b.Cards.sender.attach(t.Context(), invites.Received{Event: "$picture", Room: "!r:here"}, m, image); err != nil {
		t.Error(err)
	}
	if len(s.bodies) != 0 {
		t.Errorf("sent %q to %q", s.bodies, s.paths)
	}
	if n := strings.Count(log.String(), "encryption is off"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

// TestCardCalls: a card is a message that mentions the people who decide; the next one within a minute mentions nobody, and so does an edit.
func TestCardCalls(t *testing.T) {
	b, s := newChat(t)
	b.Cards.cases = calling{b.Cards.cases}
	for n, want := range []bool{true, false} {
		c, err := b.store.OpenCard(t.Context(), invites.Card{
			Kind: invites.CardApproval, Room: "!r:here", ShownIn: "!r:here", Command: id.EventID(fmt.Sprint("$", n)), Home: "!r:here", Action: room.Invite, Actor: "@carol:here",
			Target: "@bob:there", Votes: 2, CreatedAt: time.Now(), State: invites.CardOpen,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.bodies = nil
		if err := b.Cards.post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(s.bodies[0], `"user_ids":["@mod:here"]`); got != want || !strings.Contains(s.bodies[0], `"m.text"`) {
			t.Errorf("card %d: %s", n, s.bodies[0])
		}
	}
}

// calling has cards call a moderator.
type calling struct{ CardCases }

// Deciders implements CardCases.
func (calling) Deciders(context.Context, invites.Card) ([]id.UserID, error) {
	return []id.UserID{"@mod:here"}, nil
}

// TestCardInVain: a card or a status message that the room does not take ends its event, which would wait for ever otherwise.
func TestCardInVain(t *testing.T) {
	b, s := newChat(t)
	s.secret = true
	ev := receive(t, b, "!ping")
	propose(t, b, ev, time.Now().Add(time.Hour))
	reply := commands.Reply{Progress: true}
	reply.Text.Say("So?")
	if err := errors.Join(b.handler.replies.answer(t.Context(), ev, commands.Message{}, reply), b.Cards.postOf(t.Context(), ev.Event)); err != nil {
		t.Fatal(err)
	}
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled || after.Answer != "" {
		t.Errorf("%+v %v", after, err)
	}
	if todo, err := b.store.CardsTodo(t.Context(), invites.CardTodo{Limit: 1000}); err != nil || len(todo) != 0 {
		t.Errorf("a card that can't be shown stays open: %+v %v", todo, err)
	}
}

// propose opens a confirmation for a command.
func propose(t *testing.T, b *fixture, ev invites.Received, until time.Time) {
	t.Helper()
	err := b.runner.Requests.Propose(t.Context(), requests.Request{
		Command: ev.Event, CommandRoom: ev.Room, Actor: ev.Sender, Action: policy.ActionWithdraw, Room: ev.Room, Targets: []id.UserID{"@bob:here"},
	}, until)
	if err != nil {
		t.Fatal(err)
	}
}

// TestConfirmationIsOver: the card of a command is the answer to the command, also if an older version gave that answer. Without a vote in
// time, the answer says so, and the command is at its end.
func TestConfirmationIsOver(t *testing.T) {
	b, s := newChat(t)
	ev := receive(t, b, "!ping")
	propose(t, b, ev, time.Now().Add(time.Hour))
	if err := b.Cards.postOf(t.Context(), ev.Event); err != nil || len(s.bodies) != 0 {
		t.Fatalf("posted before its command is answered: %q %v", s.bodies, err)
	}
	if err := errors.Join(b.store.SetAnswer(t.Context(), ev.Event, "$standing"), b.Cards.postOf(t.Context(), ev.Event)); err != nil {
		t.Fatal(err)
	}
	c, err := b.store.CardShown(t.Context(), "$standing")
	if err != nil || c.Kind != invites.CardConfirm || len(s.bodies) != 2 || !strings.Contains(s.bodies[0], "✅") || !strings.Contains(s.bodies[1], "❌") {
		t.Fatalf("%+v %v, sent %q", c, err, s.bodies)
	}
	c.ExpiresAt = time.Now().Add(-time.Second)
	if err := b.Cards.reviewOne(t.Context(), c, true); err != nil {
		t.Fatal(err)
	}
	if last := s.bodies[len(s.bodies)-1]; !strings.Contains(last, "Nobody confirmed") || !strings.Contains(last, "$standing") {
		t.Errorf("sent %q", last)
	}
	after, err := b.store.Received(t.Context(), ev.Event)
	todo, err2 := b.store.CardsTodo(t.Context(), invites.CardTodo{Limit: 1000})
	if err = errors.Join(err, err2); err != nil || !after.Handled || len(todo) != 0 {
		t.Errorf("%+v %+v %v", after, todo, err)
	}
}

// TestPlainRoomIsAskedOnce: with encryption off, answers cost no request, until the stream says that the room turned it on.
// What can't be known is not sent.
func TestPlainRoomIsAskedOnce(t *testing.T) {
	b, s := newChat(t)
	say := func(txn string) error {
		_, err := b.Cards.sender.send(t.Context(), "!r:here", txn, "m.room.message", map[string]any{"body": txn})
		return err
	}
	err := errors.Join(say("1"), say("2"), say("3"))
	looks := s.looks
	if err = errors.Join(err, say("4")); err != nil || len(s.bodies) != 4 || s.looks != looks {
		t.Errorf("sent %q, looked %d and %d times: %v", s.bodies, looks, s.looks, err)
	}
	s.secret = true
	b.state.Changed("!r:here", room.Key{Type: "m.room.encryption"})
	if err := say("5"); err != nil || len(s.bodies) != 4 {
		t.Errorf("sent %q: %v", s.bodies, err)
	}
	looks = s.looks
	b.state.InvalidateAll()
	s.secret = false // whatever it says now
	if err := say("6"); err != nil || len(s.bodies) != 4 || s.looks != looks {
		t.Errorf("an encrypted room was taken for a plain one: sent %q, looked %d times more: %v", s.bodies, s.looks-looks, err)
	}
	s.status = http.StatusBadGateway
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := b.Cards.sender.send(ctx, "!other:here", "7", "m.room.message", map[string]any{}); err == nil || strings.Contains(strings.Join(s.paths[4:], " "), "/send/") {
		t.Errorf("a room whose state can't be read was answered: %q %v", s.paths[4:], err)
	}
}

// TestCardShowsEachCount: a vote that is taken back and cast again shows, though the card said the same before: a homeserver takes the
// same transaction id for the same event. The same vote handled again is the same event.
func TestCardShowsEachCount(t *testing.T) {
	b, s := newChat(t)
	c := invites.Card{ID: 1, Number: 1, State: invites.CardOpen, Event: "$card", ShownIn: "!r:here", Room: "!r:here", Votes: 2}
	for _, one := range []cards.Ballot{
		{Card: c, For: 1, After: "$a"}, {Card: c, After: "$a"}, {Card: c, For: 1, After: "$b"}, {Card: c, After: "$b"}, {Card: c, After: "$b"},
	} {
		if err := b.Cards.Show(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, path := range s.paths {
		seen[path] = true
	}
	if len(s.paths) != 5 || len(seen) != 4 {
		t.Errorf("%d of %q", len(seen), s.paths)
	}
}
