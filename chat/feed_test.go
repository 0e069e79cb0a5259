package chat

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
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
