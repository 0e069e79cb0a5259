package bot

import (
	"context"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// lanes run what happens in one room in order, and rooms side by side up to a bound. Where there is more to do, senders take
// turns, and none has more than a share at a time, so that nobody's flood delays others. Lanes keep the keys of events; the
// inbox has their content.
type lanes struct {
	handle func(context.Context, invites.Received) // is given events without Raw
	share  int                                     // slots that one sender may have
	hungry func()                                  // called when fewer events than low wait; may be nil
	low    int

	mu      sync.Mutex
	free    int // slots
	rooms   map[id.RoomID]*lane
	queued  map[key]bool          // events that wait
	senders map[id.UserID]*sender // those with a lane ready or at work
	turns   []id.UserID           // senders with a lane ready, next first
	events  int                   // in all lanes, without those being handled
	closed  bool
	working sync.WaitGroup
	running context.Context
}

// key is an event in its room.
type key struct {
	room  id.RoomID
	event id.EventID
}

// lane is one room's. It is ready, or one of its events is being handled.
type lane struct {
	room  id.RoomID
	queue []invites.Received
	busy  bool
}

// sender is somebody whose event is the first of lanes.
type sender struct {
	ready []*lane
	slots int
}

// newLanes makes lanes of which at most parallel run at a time, a quarter of those for one sender.
func newLanes(parallel int, handle func(context.Context, invites.Received)) *lanes {
	return &lanes{
		handle: handle, free: parallel, share: max(1, parallel/4),
		rooms: map[id.RoomID]*lane{}, queued: map[key]bool{}, senders: map[id.UserID]*sender{},
	}
}

// push appends events to the lanes of their rooms. After stop it does nothing: the inbox keeps them for the next start.
func (l *lanes) push(ctx context.Context, events []invites.Received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.running = ctx
	for _, ev := range events {
		if l.queued[key{ev.Room, ev.Event}] {
			continue
		}
		l.queued[key{ev.Room, ev.Event}] = true
		ev.Raw = nil
		in := l.rooms[ev.Room]
		if in == nil {
			in = &lane{room: ev.Room}
			l.rooms[ev.Room] = in
		}
		in.queue = append(in.queue, ev)
		l.events++
		if len(in.queue) == 1 && !in.busy {
			l.ready(in)
		}
	}
	l.begin()
}

// ready queues a lane with the sender of its first event. l.mu is held.
func (l *lanes) ready(in *lane) {
	who := in.queue[0].Sender
	s := l.senders[who]
	if s == nil {
		s = &sender{}
		l.senders[who] = s
	}
	if len(s.ready) == 0 {
		l.turns = append(l.turns, who)
	}
	s.ready = append(s.ready, in)
}

// begin gives free slots to senders in turn. l.mu is held.
func (l *lanes) begin() {
	for passed := 0; l.free > 0 && passed < len(l.turns) && !l.closed; {
		who := l.turns[0]
		l.turns = l.turns[1:]
		s := l.senders[who]
		if s.slots >= l.share {
			l.turns = append(l.turns, who)
			passed++
			continue
		}
		passed = 0
		in := s.ready[0]
		s.ready = s.ready[1:]
		if len(s.ready) > 0 {
			l.turns = append(l.turns, who)
		}
		ev := in.queue[0]
		in.queue = in.queue[1:]
		delete(l.queued, key{ev.Room, ev.Event})
		in.busy = true
		l.events--
		l.free--
		s.slots++
		l.working.Add(1)
		go l.work(l.running, in, ev)
	}
}

// work handles one event of a lane and gives its slot back.
func (l *lanes) work(ctx context.Context, in *lane, ev invites.Received) {
	defer l.working.Done()
	l.handle(ctx, ev)
	l.mu.Lock()
	l.free++
	in.busy = false
	s := l.senders[ev.Sender]
	s.slots--
	if s.slots == 0 && len(s.ready) == 0 {
		delete(l.senders, ev.Sender)
	}
	if len(in.queue) > 0 {
		l.ready(in)
	} else {
		delete(l.rooms, in.room)
	}
	l.begin()
	more := l.hungry != nil && l.events < l.low && !l.closed
	l.mu.Unlock()
	if more {
		l.hungry()
	}
}

// depth tells how many rooms have a lane, and how many events wait in lanes.
func (l *lanes) depth() (rooms, events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rooms), l.events
}

// stop takes nothing more and waits for what is being handled, or for ctx.
func (l *lanes) stop(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return over(ctx, &l.working)
}

// over waits for all of a group, or for ctx.
func over(ctx context.Context, group *sync.WaitGroup) error {
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
