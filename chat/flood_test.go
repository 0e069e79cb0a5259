package chat

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
	"usher/metrics"
)

// put puts n commands of a user into the inbox, in the rooms given in turn.
func put(t *testing.T, b *fixture, who id.UserID, n int, rooms ...id.RoomID) []invites.Received {
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
	b, s := newChat(t, func(o *Options) { o.Settings.CommandsPerMinute = 5 })
	b.level = commands.User
	b.runner.RoundTrip = func(context.Context) error { return nil }
	for _, ev := range put(t, b, "@mallory:here", 200, "!r:here") {
		b.handle(t, ev)
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
	if waiting, err := b.store.WaitingAfter(t.Context(), 0, 10000); err != nil || len(waiting) != 0 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
}

// TestRoomIsNotSpammed: many users together can't have the bot fill a room.
func TestRoomIsNotSpammed(t *testing.T) {
	b, s := newChat(t, func(o *Options) { o.Settings.AnswersPerMinute = 7 }) // users without permission are answered by a notice
	for i := range 100 {
		for _, ev := range put(t, b, id.UserID(fmt.Sprintf("@m%d:here", i)), 1, "!r:here") {
			b.handle(t, ev)
		}
	}
	if len(s.bodies) != 7+1 || !strings.Contains(s.bodies[7], "without answering") {
		t.Errorf("%d answers, the last %q", len(s.bodies), s.bodies[len(s.bodies)-1])
	}
}

// TestTryingAgainIsNoFlood: a command that has to be tried again counts once.
func TestTryingAgainIsNoFlood(t *testing.T) {
	b := NewLimits(1, 0, metrics.New("test", clock{}))
	ev := invites.Received{Event: "$1", Sender: "@a:here", ReceivedAt: time.Now()}
	for range 5 {
		if run, _ := b.MayCommand(ev); !run {
			t.Fatal("limited by its own first try")
		}
	}
	ev.Event = "$2"
	if run, tell := b.MayCommand(ev); run || !tell {
		t.Error("the next one is not limited")
	}
	ev.Event, ev.Answer = "$3", "$card"
	if run, _ := b.MayCommand(ev); !run {
		t.Error("one whose card waited is limited by what came after it")
	}
}

// TestFeed: lanes take a bounded number of events, the inbox keeps the rest, all are handled, in the order of their rooms.
func TestFeed(t *testing.T) {
	b, _ := newChat(t)
	const total, rooms = 6000, 10
	var mu sync.Mutex
	last, seen := map[id.RoomID]int64{}, map[id.EventID]bool{}
	all := make(chan struct{})
	hold := make(chan struct{})
	lanes := NewLanes("@usher:here", 16, 1000)
	feed := NewFeed(b.store, lanes, 2000, zerolog.Nop())
	go feed.Run(t.Context())
	go lanes.Run(t.Context(), handlerFunc(func(turn Turn) (again time.Time) {
		<-hold
		mu.Lock()
		defer mu.Unlock()
		ev := turn.Event
		if seen[ev.Event] || ev.Seq <= last[ev.Room] {
			t.Errorf("%s again or out of order", ev.Event)
		}
		last[ev.Room], seen[ev.Event] = ev.Seq, true
		if len(seen) == total {
			close(all)
		}
		return again
	}))
	var names []id.RoomID
	for r := range rooms {
		names = append(names, id.RoomID(fmt.Sprint("!", r)))
	}
	if fresh := put(t, b, "@early:here", total/2, names...); len(fresh) != total/2 { // as an earlier process left them
		t.Fatal(len(fresh))
	}
	feed.Rewind()
	for i := range 30 {
		feed.Push(put(t, b, id.UserID(fmt.Sprintf("@u%d:here", i)), total/2/30, names...))
	}
	if _, waiting := lanes.Depth(); waiting > 2000 {
		t.Errorf("%d in lanes", waiting)
	}
	close(hold)
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		t.Fatalf("%d of %d were handled", len(seen), total)
	}
	empty(t, lanes)
}
