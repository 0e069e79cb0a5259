package homeserver

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// shares divides the requests under way. A third of them may wait for other servers: few for one server, some for one actor. The others
// are reads and events: few for one room, and one for a room that was slow last. So neither dead servers nor slow rooms take all.
type shares struct {
	remote, local share

	mu      sync.Mutex
	servers map[string]int
	actors  map[string]int
	rooms   map[string]int
	slow    map[string]bool // rooms
	waiting *list.List      // of *waiter, in the order of arrival
}

// share counts the requests of one kind.
type share struct{ most, under int }

// Bounds of shares.
const (
	perServer = 4
	perRoom   = 6
	slowTime  = 2 * time.Second
	maxSlow   = 10_000 // rooms that are remembered as slow
)

// claim is what a request needs. Empty names count for nothing.
type claim struct{ server, actor, room string }

// waiter is a request that waits for its share.
type waiter struct {
	claim
	granted chan struct{}
}

func newShares(requests int) *shares {
	remote := max(1, requests/3)
	return &shares{
		remote: share{most: remote}, local: share{most: max(1, requests-remote)},
		servers: map[string]int{}, actors: map[string]int{}, rooms: map[string]int{}, slow: map[string]bool{}, waiting: list.New(),
	}
}

// take waits until a request may begin, or for ctx. crowded tells after an error that too many requests wait for the same server.
func (s *shares) take(ctx context.Context, c claim) (crowded bool, err error) {
	s.mu.Lock()
	if s.fits(c) { // earlier ones that wait do so for shares of their own, or for the same
		s.count(c, 1)
		s.mu.Unlock()
		return false, nil
	}
	w := &waiter{c, make(chan struct{})}
	at := s.waiting.PushBack(w)
	s.mu.Unlock()
	select {
	case <-w.granted:
		return false, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.granted: // in the same moment
		return false, nil
	default:
	}
	s.waiting.Remove(at)
	return c.server != "" && s.servers[c.server] >= perServer, ctx.Err()
}

// give ends a request that took some time.
func (s *shares) give(c claim, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(c, -1)
	if c.server == "" && c.room != "" {
		if took > slowTime {
			if len(s.slow) >= maxSlow {
				clear(s.slow)
			}
			s.slow[c.room] = true
		} else {
			delete(s.slow, c.room)
		}
	}
	for at := s.waiting.Front(); at != nil; {
		next := at.Next()
		if w := at.Value.(*waiter); s.fits(w.claim) {
			s.count(w.claim, 1)
			s.waiting.Remove(at)
			close(w.granted)
		}
		at = next
	}
}

// fits reports whether one more request may begin.
func (s *shares) fits(c claim) bool {
	if c.server != "" {
		return s.remote.under < s.remote.most && s.servers[c.server] < perServer && (c.actor == "" || s.actors[c.actor] < max(1, s.remote.most/3))
	}
	room := perRoom
	if s.slow[c.room] {
		room = 1
	}
	return s.local.under < s.local.most && (c.room == "" || s.rooms[c.room] < room)
}

// count adds n requests to the shares of a claim.
func (s *shares) count(c claim, n int) {
	if c.server == "" {
		s.local.under += n
		add(s.rooms, c.room, n)
		return
	}
	s.remote.under += n
	add(s.servers, c.server, n)
	add(s.actors, c.actor, n)
}

// add adds to a count, and forgets a count of 0.
func add(counts map[string]int, of string, n int) {
	if counts[of] += n; counts[of] == 0 {
		delete(counts, of)
	}
}

// claim is what a request needs of the shares.
func (r request) claim() (c claim) {
	c.server, c.actor = r.remote, r.actor.String()
	if c.actor == "" {
		c.actor = r.as.String()
	}
	if len(r.path) > 2 && r.path[1] == "rooms" {
		c.room = fmt.Sprint(r.path[2])
	}
	return c
}
