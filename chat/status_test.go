package chat

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// settledCommand puts a command into the inbox whose only row is done, and whose status message does not say so.
func settledCommand(t *testing.T, b *fixture) invites.Received {
	t.Helper()
	ev := receive(t, b, "!invite @x:here")
	now := time.Now()
	_, err := b.store.Record(t.Context(), []invites.Change{{
		Origin: invites.OriginCommand, Request: string(ev.Event), Command: ev.Event, CommandRoom: ev.Room, Action: room.Invite, Room: ev.Room, Target: "@x:here", Actor: ev.Sender,
		Performer: "@usher:here", Status: invites.StatusDone, CreatedAt: now, SettledAt: now,
	}}, nil)
	if err == nil {
		err = b.store.SetAnswer(t.Context(), ev.Event, "$answer")
	}
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// TestCrossStopsACommand: a ❌ by the sender of a command on its status message ends what waits of it, and nobody else's does.
func TestCrossStopsACommand(t *testing.T) {
	b, s := newChat(t)
	b.level = commands.User
	ev := receive(t, b, "!invite @x:here")
	now := time.Now()
	_, err := b.store.Record(t.Context(), []invites.Change{{
		Origin: invites.OriginCommand, Request: string(ev.Event), Command: ev.Event, CommandRoom: ev.Room, Action: room.Invite, Room: ev.Room, Target: "@x:here", Actor: ev.Sender,
		Performer: "@usher:here", Status: invites.StatusOpen, CreatedAt: now, DueAt: now.Add(time.Hour),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply := commands.Reply{Progress: true}
	reply.Text.Say("prune.left")
	if err := b.handler.replies.answer(t.Context(), ev, commands.Message{Event: ev.Event, Room: ev.Room}, reply); err != nil {
		t.Fatal(err)
	}
	if !b.Cards.open.Vote("$answer", "$any") {
		t.Fatal("reactions on the status message are not kept")
	}
	for _, tt := range []struct {
		sender id.UserID
		key    string
		status invites.Status
	}{{"@eve:here", "❌", invites.StatusOpen}, {"@alice:here", "✅", invites.StatusOpen}, {"@alice:here", "❌", invites.StatusCancelled}} {
		raw := fmt.Sprintf(`{"content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$answer","key":%q}}}`, tt.key)
		cross := invites.Received{Event: "$cross", Room: ev.Room, Sender: tt.sender, Type: room.TypeReaction, Raw: []byte(raw), SentAt: now, ReceivedAt: now}
		if err := b.Cards.react(t.Context(), cross); err != nil {
			t.Fatal(err)
		}
		if rows, err := b.store.ChangesOf(t.Context(), string(ev.Event)); err != nil || rows[0].Status != tt.status {
			t.Errorf("%s by %s: %+v %v", tt.key, tt.sender, rows, err)
		}
	}
	if last := s.bodies[len(s.bodies)-1]; !strings.Contains(last, "You stopped it before it was sent.") {
		t.Errorf("the last edit is %s", last)
	}
	if b.Cards.open.Vote("$answer", "$other") {
		t.Error("reactions on it are still kept")
	}
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
		t.Errorf("%+v %v", after, err)
	}
}

// TestEndOfLongWork: the end of work that took long, or of many rows, is a new reply that notifies the asker; else, and where a card has told
// the outcome, it is an edit.
func TestEndOfLongWork(t *testing.T) {
	for _, tt := range []struct {
		name  string
		many  bool
		age   time.Duration
		told  bool
		anew  bool
		below bool
	}{
		{name: "short"},
		{name: "many", many: true, anew: true, below: true},
		{name: "long", age: 2 * longWork, anew: true, below: true},
		{name: "told by a card", told: true, below: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, s := newChat(t)
			raw := []byte(`{"content":{"msgtype":"m.text","body":"!invite @x:here"}}`)
			ev := invites.Received{Event: "$event", Room: "!r:here", Sender: "@alice:here", Type: "m.room.message", Raw: raw, SentAt: time.Now(), ReceivedAt: time.Now().Add(-tt.age)}
			if _, err := b.store.Receive(t.Context(), []invites.Received{ev}); err != nil {
				t.Fatal(err)
			}
			if err := b.store.SetAnswer(t.Context(), ev.Event, "$answer"); err != nil {
				t.Fatal(err)
			}
			reply := commands.Reply{React: "✅"}
			reply.Text.Say("progress.all", "n", 12)
			if err := b.Status.conclude(t.Context(), ev.Event, reply, tt.many, tt.told); err != nil {
				t.Fatal(err)
			}
			all := strings.Join(s.bodies, "\n")
			anew := strings.Contains(s.bodies[0], `"msgtype":"m.text"`) && strings.Contains(s.bodies[0], `"user_ids":["@alice:here"]`) && strings.Contains(s.bodies[0], "All 12 done")
			if anew != tt.anew || strings.Contains(all, "the result is below") != tt.below {
				t.Errorf("sent %s", all)
			}
		})
	}
}

// TestEndOfConfirmedWork: the work of a confirmed command may be over when its card is told of. The card is the status message, and it
// has the result.
func TestEndOfConfirmedWork(t *testing.T) {
	b, s := newChat(t)
	ev := settledCommand(t, b)
	card := invites.Card{Kind: invites.CardConfirm, State: invites.CardAccepted, Command: ev.Event, Home: ev.Room, Actor: ev.Sender}
	if err := b.Cards.tell(t.Context(), card, invites.Change{}); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(s.bodies, "\n")
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled || !strings.Contains(all, "Done.") || strings.Contains(all, "the result is below") {
		t.Errorf("%+v %v: %s", after, err, all)
	}
}

// TestLastEditIsTriedAgain: a command whose last row the queue has settled while the homeserver took no edit is told of later.
func TestLastEditIsTriedAgain(t *testing.T) {
	b, s := newChat(t)
	ev := settledCommand(t, b)
	fails := func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status = status
	}
	fails(http.StatusBadGateway)
	b.Status.reportOrRetry(t.Context(), ev.Event, settled, time.Millisecond)
	if got, err := b.store.Received(t.Context(), ev.Event); err != nil || got.Handled {
		t.Fatalf("%v, handled %v: nothing was told", err, got.Handled)
	}
	fails(0)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if got, err := b.store.Received(t.Context(), ev.Event); err != nil {
			t.Fatal("never told: ", err)
		} else if got.Handled {
			return
		}
	}
}
