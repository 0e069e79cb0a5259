package chat

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

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
	go lanes.Run(t.Context(), handlerFunc(func(turn *Turn) (again time.Time) {
		<-hold
		mu.Lock()
		defer mu.Unlock()
		ev := turn.Event
		if seen[ev.Event] {
			return again // the handler finds it handled
		}
		if ev.Seq <= last[ev.Room] {
			t.Errorf("%s is out of order", ev.Event)
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
	feed.Recover()
	for i := range 30 {
		feed.Deliver(put(t, b, id.UserID(fmt.Sprintf("@u%d:here", i)), total/2/30, names...))
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

// TestFullLaneLeavesRoomForOthers: one room has more events than all lanes may hold, and its first one is never over. Events of other rooms,
// and the state of that room, come to their lanes all the same. Once the room goes on, all its events run in their order.
func TestFullLaneLeavesRoomForOthers(t *testing.T) {
	b, _ := newChat(t)
	const total = 1200
	stuck := make(chan struct{})
	seen := make(chan invites.Received, total+9)
	lanes := NewLanes("@usher:here", 16, 100)
	feed := NewFeed(b.store, lanes, 2*mostInLane, zerolog.Nop())
	go feed.Run(t.Context())
	go lanes.Run(t.Context(), handlerFunc(func(turn *Turn) (again time.Time) {
		if turn.Event.Room == "!stuck" && turn.Event.StateKey == nil {
			<-stuck
		}
		if now, err := b.store.Received(t.Context(), turn.Event.Event); err != nil || now.Handled {
			return again
		}
		_ = b.store.Handled(t.Context(), turn.Event.Event)
		seen <- turn.Event
		return again
	}))
	put(t, b, "@old:here", total/2, "!stuck") // as an earlier process left them
	feed.Recover()
	read := func() bool {
		feed.mu.Lock()
		defer feed.mu.Unlock()
		return !feed.behind
	}
	for end := time.Now().Add(20 * time.Second); !read(); time.Sleep(time.Millisecond) { // a page is larger than these lanes
		if time.Now().After(end) {
			t.Fatal("the inbox is not read")
		}
	}
	for i := range 4 {
		feed.Deliver(put(t, b, id.UserID(fmt.Sprintf("@new%d:here", i)), total/8, "!stuck"))
	}
	level := ""
	door, err := b.store.Receive(t.Context(), []invites.Received{{
		Event: "$door", Room: "!stuck", Sender: "@a:here", Type: room.TypePowerLevels, StateKey: &level, Raw: []byte("{}"), SentAt: time.Now(), ReceivedAt: time.Now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	feed.Deliver(door)
	feed.Deliver(put(t, b, "@other:here", 1, "!other"))
	next := func() (ev invites.Received) {
		select {
		case ev = <-seen:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing comes any more")
		}
		return ev
	}
	for range 2 {
		if ev := next(); ev.Room == "!stuck" && ev.StateKey == nil {
			t.Fatal("an event of the stuck room came first")
		}
	}
	if _, waiting := lanes.Depth(); waiting > mostInLane {
		t.Errorf("%d events of one room in memory", waiting)
	}
	close(stuck)
	for last, n := int64(0), 0; n < total; n++ {
		ev := next()
		if ev.Seq <= last {
			t.Fatalf("%d after %d", ev.Seq, last)
		}
		last = ev.Seq
	}
	empty(t, lanes)
	if len(feed.over) > 0 || len(lanes.short) > 0 {
		t.Errorf("%d lanes are still held for full", len(feed.over))
	}
}
