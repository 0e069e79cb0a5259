package encryption

import (
	"context"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"
)

// turns is a lock taken by rooms in turns: if goroutines of several rooms wait, each room gets the lock once before any room gets it
// again. So many events of one room do not delay the events of other rooms. The zero value is unlocked.
type turns struct {
	mu      sync.Mutex
	held    bool
	order   []id.RoomID // rooms with waiting goroutines, the next first
	waiting map[id.RoomID][]chan struct{}
}

// lock takes the lock for a room, or returns the error of ctx. The room "" stands for the device's own work.
func (t *turns) lock(ctx context.Context, r id.RoomID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if !t.held {
		t.held = true
		t.mu.Unlock()
		return nil
	}
	if t.waiting == nil {
		t.waiting = map[id.RoomID][]chan struct{}{}
	}
	granted := make(chan struct{})
	if len(t.waiting[r]) == 0 {
		t.order = append(t.order, r)
	}
	t.waiting[r] = append(t.waiting[r], granted)
	t.mu.Unlock()
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
	}
	if !t.leave(r, granted) {
		t.unlock() // the lock was granted just before
	}
	return ctx.Err()
}

// unlock gives the lock to the first goroutine of the next room.
func (t *turns) unlock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.held = false
		return
	}
	r := t.order[0]
	t.order = t.order[1:]
	granted := t.waiting[r][0]
	if t.waiting[r] = t.waiting[r][1:]; len(t.waiting[r]) == 0 {
		delete(t.waiting, r)
	} else {
		t.order = append(t.order, r)
	}
	close(granted)
}

// leave gives up a place, and reports whether the goroutine was still waiting.
func (t *turns) leave(r id.RoomID, granted chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting[r], granted)
	if i < 0 {
		return false
	}
	if t.waiting[r] = slices.Delete(t.waiting[r], i, i+1); len(t.waiting[r]) == 0 {
		delete(t.waiting, r)
		t.order = slices.DeleteFunc(t.order, func(other id.RoomID) bool { return other == r })
	}
	return true
}
