package chat

import (
	"context"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// parallelLanes is how many lanes run at a time.
const parallelLanes = 64

// mostWithContent is how many waiting events keep their content: a flood of large events takes no memory.
const mostWithContent = 64

// Lanes run the events of one lane in order, and lanes side by side up to a bound. Each room has two lanes: one for messages and the
// bot's own memberships, and one for all other state: the guard and the knock desk wait for no command. Where lanes wait for a
// slot, senders take turns, and no sender has more than a share of the slots: a flood delays its sender alone.
//
// Events of one lane that concern different users run side by side, too, so that they share commits (Turn.Beside). No lane has more than a
// share of the slots.
//
// Lanes never sleep inside a slot: an event gives its slot back before it is handled again, and its lane waits. Lanes keep the keys
// of events; the inbox has their content. While few events wait, they also keep the content of new ones.
type Lanes struct {
	bot    id.UserID
	share  int           // slots of one sender, and of one lane, at most
	low    int           // fewer waiting events than this signal refill
	refill chan struct{} // received from by the feed
	wake   chan struct{} // received from by Run: an event is ready, or a slot is free

	mu      sync.Mutex
	free    int // slots
	lanes   map[laneKey]*lane
	queued  map[eventKey]bool     // waiting events
	senders map[id.UserID]*sender // senders with an event ready or running
	turns   []id.UserID           // senders with an event ready, next first
	events  int                   // in all lanes, without running ones
	short   map[laneKey]bool      // lanes with more events in the inbox
	closed  bool
	working sync.WaitGroup
}

// EventHandler handles the events of lanes.
type EventHandler interface {
	// Handle handles an event. A time is when the event is to be handled again; until then its lane waits, without a slot. The zero
	// time ends the event.
	Handle(ctx context.Context, turn *Turn) (again time.Time)
}

// Turn is an event of a lane, and the tries at it.
type Turn struct {
	Event invites.Received // without Raw, unless it is new
	Since time.Time        // when the first try began; zero for the first
	Tries int              // before this one

	in      *lane    // nil: none, in tests of a handler
	touches *touched // nil: not known yet
	granted bool     // Beside has let it go on: it keeps its place, also when it is handled again
	state   turnState
}

// turnState is the state of an event in its lane.
type turnState int

const (
	queued  turnState = iota // not begun
	running                  // has a slot
	early                    // has a slot, but has to be begun again after the events before it
	waits                    // is to be handled again at a later time, without a slot until then
)

// touched is the users concerned by an event besides its sender, or all of the room.
type touched struct {
	users []id.UserID
	all   bool
}

// Beside tells the lane which users the event concerns, besides its sender: the lane begins later events beside this one, and those that
// concern others run to their end. all means all of the room. Without a call, all later events wait. Beside reports
// whether this event may go on: not while an event before it concerns the same users. Then the handler has to return, having changed
// nothing. It is called again after the events before, and needs no slot until then.
func (t *Turn) Beside(users []id.UserID, all bool) bool {
	if t.in == nil || t.granted {
		return true
	}
	l := t.in.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	t.touches = &touched{users, all}
	for _, before := range t.in.under {
		if before == t {
			break
		}
		if t.meets(before) {
			t.state = early
			return false
		}
	}
	t.granted = true
	l.advance(t.in)
	return true
}

// meets reports whether an event has to wait for one before it. An event of which nothing is known may begin, to find out.
func (t *Turn) meets(before *Turn) bool {
	if before.touches.all {
		return true
	}
	if t.touches == nil {
		return false
	}
	theirs := before.touches.users
	return t.touches.all || slices.Contains(theirs, t.Event.Sender) || slices.Contains(t.touches.users, before.Event.Sender) ||
		slices.ContainsFunc(t.touches.users, func(u id.UserID) bool { return slices.Contains(theirs, u) })
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

// lane is the events of one key.
type lane struct {
	lanes *Lanes
	key   laneKey
	queue []*Turn // not begun
	under []*Turn // begun and not over, in the order of their beginning
	ready bool    // the first one of queue is with its sender
}

// sender is the user of some events.
type sender struct {
	ready []*Turn
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
		if l.events >= mostWithContent {
			ev.Raw = nil
		}
		key := l.laneOf(ev)
		in := l.lanes[key]
		if in == nil {
			in = &lane{lanes: l, key: key}
			l.lanes[key] = in
		}
		in.queue = append(in.queue, &Turn{Event: ev, in: in})
		l.events++
		l.advance(in)
	}
}

// advance makes the next event of a lane ready, if the events under way let it begin. l.mu is held.
func (l *Lanes) advance(in *lane) {
	if in.ready || len(in.queue) == 0 || len(in.under) >= l.share {
		return
	}
	next := in.queue[0]
	if slices.ContainsFunc(in.under, func(t *Turn) bool { return !t.granted || t.state == waits || next.meets(t) }) {
		return
	}
	in.ready = true
	l.ready(next)
}

// ready queues an event with its sender. l.mu is held.
func (l *Lanes) ready(turn *Turn) {
	user := turn.Event.Sender
	s := l.senders[user]
	if s == nil {
		s = &sender{}
		l.senders[user] = s
	}
	if len(s.ready) == 0 {
		l.turns = append(l.turns, user)
	}
	s.ready = append(s.ready, turn)
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
		turn := s.ready[0]
		s.ready = s.ready[1:]
		if len(s.ready) > 0 {
			l.turns = append(l.turns, user)
		}
		in := turn.in
		if turn.state == queued {
			in.queue, in.under, in.ready = in.queue[1:], append(in.under, turn), false
		}
		turn.state = running
		delete(l.queued, eventKey{turn.Event.Room, turn.Event.Event})
		l.events--
		l.free--
		s.slots++
		if turn.Since.IsZero() {
			turn.Since = time.Now()
		}
		l.working.Go(func() { l.end(turn, handler.Handle(ctx, turn)) })
	}
}

// end gives a slot back. The event is over, or waits for the time to be handled again, or for its turn.
func (l *Lanes) end(turn *Turn, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free++
	s := l.senders[turn.Event.Sender]
	s.slots--
	if s.slots == 0 && len(s.ready) == 0 {
		delete(l.senders, turn.Event.Sender)
	}
	in := turn.in
	switch {
	case turn.state == early:
		l.leave(turn)
		l.wait(turn, queued)
		in.queue = append([]*Turn{turn}, in.queue...)
		if turn.Tries == 0 {
			turn.Since = time.Time{} // it has tried nothing
		}
	case !again.IsZero():
		turn.Tries++
		l.wait(turn, waits)
		time.AfterFunc(time.Until(again), func() { l.resume(turn) })
	default:
		l.leave(turn)
	}
	l.advance(in)
	if len(in.queue)+len(in.under) == 0 {
		delete(l.lanes, in.key)
	}
	if (l.events < l.low || l.short[in.key] && len(in.queue) <= lowInLane) && !l.closed {
		signal(l.refill)
	}
	signal(l.wake)
}

// leave removes an event from those under way in its lane. l.mu is held.
func (l *Lanes) leave(turn *Turn) {
	in := turn.in
	in.under = slices.DeleteFunc(in.under, func(t *Turn) bool { return t == turn })
}

// wait counts an event among those without a slot. l.mu is held.
func (l *Lanes) wait(turn *Turn, state turnState) {
	turn.state = state
	l.queued[eventKey{turn.Event.Room, turn.Event.Event}] = true
	l.events++
}

// resume ends the waiting of an event.
func (l *Lanes) resume(turn *Turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready(turn)
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
