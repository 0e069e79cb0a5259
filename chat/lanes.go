package chat

import (
	"context"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// parallelLanes is how many lanes run at a time.
const parallelLanes = 64

// Lanes run the events of one lane in order, and lanes side by side up to a bound. Each room has two lanes: one for messages and the
// bot's own memberships, and one for all other state: the guard and the knock desk wait for no command. Where lanes wait for a
// slot, senders take turns, and no sender has more than a share of the slots: a flood delays its sender alone.
//
// Lanes never sleep inside a slot: an event gives its slot back before it is handled again, and its lane waits. Lanes keep the keys
// of events; the inbox has their content.
type Lanes struct {
	bot    id.UserID
	share  int           // slots of one sender, at most
	low    int           // fewer waiting events than this signal refill
	refill chan struct{} // received from by the feed
	wake   chan struct{} // received from by Run: a lane is ready, or a slot is free

	mu      sync.Mutex
	free    int // slots
	lanes   map[laneKey]*lane
	queued  map[eventKey]bool     // waiting events
	senders map[id.UserID]*sender // senders with a lane ready or at work
	turns   []id.UserID           // senders with a lane ready, next first
	events  int                   // in all lanes, without events being handled
	short   map[laneKey]bool      // lanes with more events in the inbox
	closed  bool
	working sync.WaitGroup
}

// EventHandler handles the events of lanes.
type EventHandler interface {
	// Handle handles an event. A time is when the event is to be handled again; until then its lane waits, without a slot. The zero
	// time ends the event.
	Handle(ctx context.Context, turn Turn) (again time.Time)
}

// Turn is one try at an event.
type Turn struct {
	Event invites.Received // without Raw
	Since time.Time        // when the first try began; zero for the first
	Tries int              // before this one
}

// eventKey is an event in its room.
type eventKey struct {
	room  id.RoomID
	event id.EventID
}

// laneKey names a lane.
type laneKey struct {
	room id.RoomID
	door bool // for state other than the bot's own memberships
}

// lane is a queue of events. It is ready, waits for the time of its first event, or has an event being handled.
type lane struct {
	key   laneKey
	queue []Turn
	busy  bool
}

// sender is the user of the first event of lanes.
type sender struct {
	ready []*lane
	slots int
}

// NewLanes makes lanes of which at most parallel run at a time, a quarter of them for one sender. Fewer waiting events than low
// signal the feed.
func NewLanes(bot id.UserID, parallel, low int) *Lanes {
	return &Lanes{
		bot: bot, free: parallel, share: max(1, parallel/4), low: low, refill: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		lanes: map[laneKey]*lane{}, queued: map[eventKey]bool{}, senders: map[id.UserID]*sender{}, short: map[laneKey]bool{},
	}
}

// laneOf returns the lane of an event.
func (l *Lanes) laneOf(ev invites.Received) laneKey {
	own := ev.Type == room.TypeMember && ev.StateKey != nil && *ev.StateKey == l.bot.String()
	return laneKey{ev.Room, ev.StateKey != nil && !own}
}

// Push appends events to their lanes. After Stop it does nothing: the inbox keeps the events for the next start.
func (l *Lanes) Push(events ...invites.Received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, ev := range events {
		if l.queued[eventKey{ev.Room, ev.Event}] {
			continue
		}
		l.queued[eventKey{ev.Room, ev.Event}] = true
		ev.Raw = nil
		key := l.laneOf(ev)
		in := l.lanes[key]
		if in == nil {
			in = &lane{key: key}
			l.lanes[key] = in
		}
		in.queue = append(in.queue, Turn{Event: ev})
		l.events++
		if len(in.queue) == 1 && !in.busy {
			l.ready(in)
		}
	}
}

// ready queues a lane with the sender of its first event. l.mu is held.
func (l *Lanes) ready(in *lane) {
	user := in.queue[0].Event.Sender
	s := l.senders[user]
	if s == nil {
		s = &sender{}
		l.senders[user] = s
	}
	if len(s.ready) == 0 {
		l.turns = append(l.turns, user)
	}
	s.ready = append(s.ready, in)
	signal(l.wake)
}

// signal leaves a signal in a channel with room for one.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// Run has the handler handle events until ctx ends. All calls of the handler get ctx.
func (l *Lanes) Run(ctx context.Context, handler EventHandler) {
	for {
		select {
		case <-l.wake:
			l.begin(ctx, handler)
		case <-ctx.Done():
			return
		}
	}
}

// begin gives free slots to senders in turn.
func (l *Lanes) begin(ctx context.Context, handler EventHandler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for passed := 0; l.free > 0 && passed < len(l.turns) && !l.closed; {
		user := l.turns[0]
		l.turns = l.turns[1:]
		s := l.senders[user]
		if s.slots >= l.share {
			l.turns = append(l.turns, user)
			passed++
			continue
		}
		passed = 0
		in := s.ready[0]
		s.ready = s.ready[1:]
		if len(s.ready) > 0 {
			l.turns = append(l.turns, user)
		}
		turn := in.queue[0]
		in.queue = in.queue[1:]
		delete(l.queued, eventKey{turn.Event.Room, turn.Event.Event})
		in.busy = true
		l.events--
		l.free--
		s.slots++
		if turn.Since.IsZero() {
			turn.Since = time.Now()
		}
		l.working.Go(func() { l.end(in, turn, handler.Handle(ctx, turn)) })
	}
}

// end gives a slot back. The lane goes on with its next event, or waits for the time to handle this one again.
func (l *Lanes) end(in *lane, turn Turn, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free++
	s := l.senders[turn.Event.Sender]
	s.slots--
	if s.slots == 0 && len(s.ready) == 0 {
		delete(l.senders, turn.Event.Sender)
	}
	switch {
	case !again.IsZero():
		turn.Tries++
		in.queue = append([]Turn{turn}, in.queue...)
		l.queued[eventKey{turn.Event.Room, turn.Event.Event}] = true
		l.events++
		time.AfterFunc(time.Until(again), func() { l.resume(in) }) // in stays busy until then
	case len(in.queue) > 0:
		in.busy = false
		l.ready(in)
	default:
		delete(l.lanes, in.key)
	}
	if (l.events < l.low || l.short[in.key] && len(in.queue) <= lowInLane) && !l.closed {
		signal(l.refill)
	}
	signal(l.wake)
}

// resume ends the waiting of a lane.
func (l *Lanes) resume(in *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in.busy = false
	l.ready(in)
}

// Depth returns the number of lanes, and how many events wait in lanes.
func (l *Lanes) Depth() (lanes, events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lanes), l.events
}

// Stop begins nothing more and waits for the events being handled, or for ctx.
func (l *Lanes) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return wait(ctx, &l.working)
}

// wait waits for all of a group, or for ctx.
func wait(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
