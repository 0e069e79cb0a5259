package chat

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// limit bounds how often something happens in a minute, for each key apart: at once or spread. It notes which keys have heard of it.
type limit[K comparable] struct {
	perMinute int // 0: no limit

	mu     sync.Mutex
	meters *lru.LRU[K, *meter]
}

// meter is the allowance of one key.
type meter struct {
	*rate.Limiter
	told bool
	last time.Time // when the key was last counted
}

// maxMeters bounds the memory of a limit. The key with the oldest count is forgotten first and may start anew.
const maxMeters = 10000

// newLimit makes a limit.
func newLimit[K comparable](perMinute int) *limit[K] {
	meters, _ := lru.NewLRU[K, *meter](maxMeters, nil) // fails for a size of 0 only
	return &limit[K]{perMinute: perMinute, meters: meters}
}

// take counts one. Beyond the limit it is not allowed, and tell is true for the first one since the key last had its whole allowance.
func (l *limit[K]) take(key K, at time.Time) (allowed, tell bool) {
	if l.perMinute == 0 {
		return true, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m, known := l.meters.Get(key)
	if !known {
		m = &meter{Limiter: rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.perMinute)}
		l.meters.Add(key, m)
	}
	if at.Before(m.last) {
		at = m.last // an event from a slow lane comes late and is no flood
	}
	m.last = at
	if m.TokensAt(at) >= float64(l.perMinute) {
		m.told = false
	}
	if m.AllowN(at, 1) {
		return true, false
	}
	tell = !m.told
	m.told = true
	return false, tell
}

// Limits bounds how many commands a user gives, and how many answers a room gets.
type Limits struct {
	commands *limit[id.UserID]
	answers  *limit[id.RoomID]
	admitted sync.Map // ids of admitted commands being handled: another try costs the sender nothing
	counters Counters
}

// NewLimits makes limits of so many in a minute; 0 is no limit.
func NewLimits(commandsPerMinute, answersPerMinute int, counters Counters) *Limits {
	return &Limits{commands: newLimit[id.UserID](commandsPerMinute), answers: newLimit[id.RoomID](answersPerMinute), counters: counters}
}

// MayCommand implements commands.Limit. A command was counted before if it is tried again, or goes on after its card or a restart.
func (l *Limits) MayCommand(ev invites.Received) (run, tell bool) {
	if _, admitted := l.admitted.Load(ev.Event); admitted || ev.Answer != "" {
		return true, false
	}
	if run, tell = l.commands.take(ev.Sender, ev.ReceivedAt); run {
		l.admitted.Store(ev.Event, true)
	} else {
		l.counters.Limited("command")
	}
	return run, tell
}

// over forgets an event at its end.
func (l *Limits) over(event id.EventID) { l.admitted.Delete(event) }

// mayAnswer reports whether a room may get one answer more, and if not, whether to tell the room so. Status messages always pass: they
// end their commands.
func (l *Limits) mayAnswer(ev invites.Received, reply commands.Reply) (allowed, tell bool) {
	if reply.Empty() || reply.Progress || ev.Answer != "" {
		return true, false
	}
	if allowed, tell = l.answers.take(ev.Room, time.Now()); !allowed {
		l.counters.Limited("answer")
	}
	return allowed, tell
}

// mayPost reports whether a room may get a card now. Cards count as answers.
func (l *Limits) mayPost(r id.RoomID) bool {
	allowed, _ := l.answers.take(r, time.Now())
	if !allowed {
		l.counters.Limited("answer")
	}
	return allowed
}
