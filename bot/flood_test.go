package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// put puts n commands of a user into the inbox, in the rooms given in turn.
func put(t *testing.T, b *bot, who id.UserID, n int, rooms ...id.RoomID) []invites.Received {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"content": map[string]any{"msgtype": "m.text", "body": "!ping"}})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]invites.Received, n)
	for i := range list {
		list[i] = invites.Received{
			Event: id.EventID(fmt.Sprint("$", who, rooms[0], i)), Room: rooms[i%len(rooms)], Sender: who, Type: "m.room.message", Raw: raw,
			SentAt: time.Now(), ReceivedAt: time.Now(),
		}
	}
	fresh, err := b.store.Receive(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// TestFloodOfCommands: beyond the limit nothing runs, one notice says so, and nothing stays in the inbox.
func TestFloodOfCommands(t *testing.T) {
	b, s := newBot(t)
	b.commands.perMinute = 5
	b.runner.Limit = b.mayCommand
	b.runner.Level = func(id.UserID) commands.Level { return commands.User }
	b.runner.RoundTrip = func(context.Context) error { return nil }
	for _, ev := range put(t, b, "@mallory:here", 200, "!r:here") {
		b.handle(t.Context(), ev)
	}
	notices := 0
	for _, body := range s.bodies {
		if strings.Contains(body, "limited") {
			notices++
		}
	}
	if len(s.bodies) > 2*5+1 || notices != 1 {
		t.Errorf("%d answers, %d of them about the limit", len(s.bodies), notices)
	}
	b.ending.Wait()
	if waiting, err := b.store.WaitingAfter(t.Context(), 0, 10); err != nil || len(waiting) != 0 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
}

// TestRoomIsNotSpammed: many users together can't have the bot fill a room.
func TestRoomIsNotSpammed(t *testing.T) {
	b, s := newBot(t)
	b.answers.perMinute = 7
	b.runner.Level = func(id.UserID) commands.Level { return commands.Nobody } // each is answered by a notice
	for i := range 100 {
		for _, ev := range put(t, b, id.UserID(fmt.Sprintf("@m%d:here", i)), 1, "!r:here") {
			b.handle(t.Context(), ev)
		}
	}
	if len(s.bodies) != 7+1 || !strings.Contains(s.bodies[7], "without answering") {
		t.Errorf("%d answers, the last %q", len(s.bodies), s.bodies[len(s.bodies)-1])
	}
}

// TestTryingAgainIsNoFlood: a command that has to be tried again counts once.
func TestTryingAgainIsNoFlood(t *testing.T) {
	b, _ := newBot(t)
	b.commands.perMinute = 1
	ev := invites.Received{Event: "$1", Sender: "@a:here", ReceivedAt: time.Now()}
	for range 5 {
		if run, _ := b.mayCommand(ev); !run {
			t.Fatal("limited by its own first try")
		}
	}
	ev.Event = "$2"
	if run, tell := b.mayCommand(ev); run || !tell {
		t.Error("the next one is not limited")
	}
	ev.Event, ev.Answer = "$3", "$card"
	if run, _ := b.mayCommand(ev); !run {
		t.Error("one whose card waited is limited by what came after it")
	}
}

// TestFeed: lanes take a bounded number of events, the inbox keeps the rest, all are handled, in the order of their rooms.
func TestFeed(t *testing.T) {
	b, _ := newBot(t)
	const total, rooms = 6000, 10
	var mu sync.Mutex
	last, seen := map[id.RoomID]int64{}, map[id.EventID]bool{}
	all := make(chan struct{})
	hold := make(chan struct{})
	b.lanes = newLanes(16, func(ctx context.Context, ev invites.Received) {
		<-hold
		mu.Lock()
		defer mu.Unlock()
		if seen[ev.Event] || ev.Seq <= last[ev.Room] {
			t.Errorf("%s again or out of order", ev.Event)
		}
		last[ev.Room], seen[ev.Event] = ev.Seq, true
		if len(seen) == total {
			close(all)
		}
	})
	b.feed = &feed{store: b.store, lanes: b.lanes, most: 2000, log: zerolog.Nop()}
	b.lanes.hungry, b.lanes.low = func() { b.feed.hungry(b.ctx) }, 1000
	var names []id.RoomID
	for r := range rooms {
		names = append(names, id.RoomID(fmt.Sprint("!", r)))
	}
	if fresh := put(t, b, "@early:here", total/2, names...); len(fresh) != total/2 { // as an earlier process left them
		t.Fatal(len(fresh))
	}
	if err := b.feed.rewind(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		b.feed.push(t.Context(), put(t, b, id.UserID(fmt.Sprintf("@u%d:here", i)), total/2/30, names...))
	}
	if _, waiting := b.lanes.depth(); waiting > 2000 {
		t.Errorf("%d in lanes", waiting)
	}
	close(hold)
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		t.Fatalf("%d of %d were handled", len(seen), total)
	}
	empty(t, b.lanes)
}
