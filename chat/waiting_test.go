package chat

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// yard is a waitingForKeys whose lane is a list.
type yard struct {
	*waitingForKeys
	mu   sync.Mutex
	lane []id.EventID
	came chan struct{}
}

// pushed is called for each event that goes to a lane.
type pushed func(invites.Received)

// Push implements the lanes of waitingForKeys.
func (p pushed) Push(events ...invites.Received) {
	for _, ev := range events {
		p(ev)
	}
}

func newYard() *yard {
	y := &yard{came: make(chan struct{}, 100)}
	y.waitingForKeys = newWaitingForKeys(pushed(func(ev invites.Received) {
		y.mu.Lock()
		defer y.mu.Unlock()
		y.lane = append(y.lane, ev.Event)
		y.came <- struct{}{}
	}))
	return y
}

// took returns what went to the lane since it was last asked.
func (y *yard) took() []id.EventID {
	y.mu.Lock()
	defer y.mu.Unlock()
	defer func() { y.lane = nil }()
	return y.lane
}

func waitingEvent(seq int64, name id.EventID, sender id.UserID, at time.Time) invites.Received {
	return invites.Received{Seq: seq, Event: name, Room: "!r", Sender: sender, ReceivedAt: at}
}

func TestWaitingOrder(t *testing.T) {
	y, now := newYard(), time.Now()
	first, second := waitingEvent(1, "$1", "@a:x", now), waitingEvent(2, "$2", "@a:x", now)
	other := waitingEvent(3, "$3", "@b:x", now)
	elsewhere := waitingEvent(4, "$4", "@a:x", now)
	elsewhere.Room = "!other"
	if y.blocked(first, now) {
		t.Error("the first waits for nothing")
	}
	y.wait(first, now, now.Add(time.Hour))
	for _, tt := range []struct {
		name string
		ev   invites.Received
		at   time.Time
		want bool
	}{
		{"same sender", second, now, true},
		{"same sender, later", second, now.Add(grace), true},
		{"somebody else, at first", other, now, true},
		{"somebody else, later", other, now.Add(grace), false},
		{"another room", elsewhere, now, false},
		{"itself", first, now, false},
	} {
		if got := y.blocked(tt.ev, tt.at); got != tt.want {
			t.Errorf("%s: blocked is %v", tt.name, got)
		}
	}
	y.release("!other")
	if got := y.took(); len(got) != 0 {
		t.Errorf("%v went to the lane for a key of another room", got)
	}
	y.release("!r")
	y.release("")
	if got := y.took(); !slices.Equal(got, []id.EventID{"$1", "$2", "$3"}) {
		t.Errorf("%v went to the lane, expected each once and in order", got)
	}
	// In the lane, the first is opened; the others go on behind it, though they came up before it was.
	if !y.blocked(second, now) {
		t.Error("the second is not blocked while the first is in the lane")
	}
	y.leave(first)
	if got := y.took(); !slices.Equal(got, []id.EventID{"$2"}) {
		t.Errorf("%v went to the lane after the first", got)
	}
	if y.blocked(second, now) {
		t.Error("the second waits for nothing any more")
	}
	y.leave(second)
	y.leave(other)
	if len(y.rooms) != 0 {
		t.Errorf("left behind: %v", y.rooms)
	}
}

func TestWaitingIsOverInTime(t *testing.T) {
	y, now := newYard(), time.Now()
	y.wait(waitingEvent(1, "$1", "@a:x", now.Add(-time.Hour)), now, now.Add(time.Millisecond))
	select {
	case <-y.came:
	case <-time.After(10 * time.Second):
		t.Fatal("it was never tried again")
	}
	if got := y.took(); !slices.Equal(got, []id.EventID{"$1"}) {
		t.Errorf("got %v", got)
	}
}

// TestWaitingKeepsKeysOnly: what an event says stays in the inbox, from which it is read again when it goes on.
func TestWaitingKeepsKeysOnly(t *testing.T) {
	now := time.Now()
	var lane []invites.Received
	p := newWaitingForKeys(pushed(func(ev invites.Received) { lane = append(lane, ev) }))
	first, second := waitingEvent(1, "$1", "@a:x", now), waitingEvent(2, "$2", "@a:x", now)
	first.Raw, second.Raw = []byte(`{"long":1}`), []byte(`{"long":2}`)
	p.wait(first, now, now.Add(time.Hour))
	if !p.blocked(second, now) {
		t.Fatal("it does not wait")
	}
	p.leave(first)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(lane) != 1 || lane[0].Event != "$2" || lane[0].Raw != nil {
		t.Errorf("goes on as %+v", lane)
	}
	for _, e := range p.rooms["!r"].list {
		if e.ev.Raw != nil {
			t.Errorf("keeps %s", e.ev.Raw)
		}
	}
}

// TestSetAside: nothing waits behind an event whose time is over, and the event itself goes on only when keys arrive.
func TestSetAside(t *testing.T) {
	y, now := newYard(), time.Now()
	first, second := waitingEvent(1, "$1", "@a:x", now), waitingEvent(2, "$2", "@a:x", now)
	y.wait(first, now, now.Add(time.Hour))
	if !y.blocked(second, now) {
		t.Fatal("the second does not wait")
	}
	y.setAside(first)
	if got := y.took(); !slices.Equal(got, []id.EventID{"$2"}) {
		t.Errorf("went on: %s", got)
	}
	if y.blocked(second, now) {
		t.Error("the second waits behind an event set aside")
	}
	y.leave(second)
	y.took()
	y.release("")
	if got := y.took(); !slices.Equal(got, []id.EventID{"$1"}) {
		t.Errorf("went on with the keys: %s", got)
	}
}

// TestWaitingCost: an event that goes on has only the events behind it tried again, however many wait in the room.
func TestWaitingCost(t *testing.T) {
	y, now := newYard(), time.Now()
	y.came = make(chan struct{}, 1_000_000)
	const members, each = 400, 100
	long, seq := now.Add(-time.Hour), int64(0)
	var keyless []invites.Received
	refused := 0
	for range each {
		for m := range members {
			seq++
			ev := waitingEvent(seq, id.EventID(fmt.Sprint("$", seq)), id.UserID(fmt.Sprintf("@m%d:evil", m)), long)
			if y.blocked(ev, now) {
				continue
			}
			if !y.wait(ev, now, now.Add(time.Hour)) {
				refused++
				continue
			}
			keyless = append(keyless, ev)
		}
	}
	if len(keyless) != members || refused != 0 {
		t.Fatalf("%d wait for keys, %d were refused", len(keyless), refused)
	}
	for i, ev := range keyless[:10] {
		y.leave(ev)
		if got := y.took(); len(got) != 1 || got[0] != id.EventID(fmt.Sprint("$", members+i+1)) {
			t.Fatalf("%d events are tried again after one has gone on: %.5v", len(got), got)
		}
	}
}

// TestWaitingIsBounded: one sender, and one room, has only so many events without their keys.
func TestWaitingIsBounded(t *testing.T) {
	y, now := newYard(), time.Now()
	seq := int64(0)
	wait := func(sender id.UserID) bool {
		seq++
		return y.wait(waitingEvent(seq, id.EventID(fmt.Sprint("$", seq)), sender, now.Add(-time.Hour)), now, now.Add(time.Hour))
	}
	for i := range maxKeylessOfSender + 1 {
		if got := wait("@one:x"); got != (i < maxKeylessOfSender) {
			t.Fatalf("event %d of one sender waits: %v", i, got)
		}
	}
	kept := maxKeylessOfSender
	for i := range 2 * maxKeylessOfRoom {
		if wait(id.UserID(fmt.Sprintf("@m%d:x", i))) {
			kept++
		}
	}
	if kept != maxKeylessOfRoom {
		t.Errorf("%d events wait for keys in one room", kept)
	}
	first := waitingEvent(1, "$1", "@one:x", now.Add(-time.Hour))
	if !y.wait(first, now, now.Add(time.Hour)) {
		t.Error("an event that waits already has lost its place")
	}
	y.leave(first)
	if !wait("@one:x") {
		t.Error("there is no place after one has gone on")
	}
}
