package bot

import (
	"context"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// lanes run what happens in one room in order, and rooms side by side, up to a bound.
type lanes struct {
	handle func(context.Context, invites.Received)
	slots  chan struct{}

	mu      sync.Mutex
	waiting map[id.RoomID][]invites.Received // a room that is present has a goroutine at work
	closed  bool
	working sync.WaitGroup
}

// newLanes makes lanes of which at most parallel run at a time.
func newLanes(parallel int, handle func(context.Context, invites.Received)) *lanes {
	return &lanes{handle: handle, slots: make(chan struct{}, parallel), waiting: map[id.RoomID][]invites.Received{}}
}

// push appends events to the lanes of their rooms. After stop it does nothing: the inbox keeps them for the next start.
func (l *lanes) push(ctx context.Context, events []invites.Received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, ev := range events {
		queue, running := l.waiting[ev.Room]
		l.waiting[ev.Room] = append(queue, ev)
		if !running {
			l.working.Add(1)
			go l.work(ctx, ev.Room)
		}
	}
}

// work handles a room's events until none is left.
func (l *lanes) work(ctx context.Context, r id.RoomID) {
	defer l.working.Done()
	for {
		ev, more := l.next(r)
		if !more {
			return
		}
		l.slots <- struct{}{}
		l.handle(ctx, ev)
		<-l.slots
	}
}

// depth tells how many rooms have a lane, and how many events wait in lanes.
func (l *lanes) depth() (rooms, events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, queue := range l.waiting {
		events += len(queue)
	}
	return len(l.waiting), events
}

// next takes the first event of a room, or ends its lane.
func (l *lanes) next(r id.RoomID) (invites.Received, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[r]
	if len(queue) == 0 || l.closed {
		delete(l.waiting, r)
		return invites.Received{}, false
	}
	l.waiting[r] = queue[1:]
	return queue[0], true
}

// stop takes nothing more and waits for what is being handled, or for ctx.
func (l *lanes) stop(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		l.working.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
