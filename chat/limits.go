package bot

import (
	"sync"
	"time"

	"usher/commands"
	"usher/invites"
)

// rate limits how often something happens, apart for each key, by the generic cell rate algorithm: so many within a minute,
// at once or spread.
type rate[K comparable] struct {
	perMinute int // 0: no limit

	mu   sync.Mutex
	keys map[K]meter
}

// meter is one key's: the time up to which its allowance is spent, whether it was told so, and when it last took.
type meter struct {
	spent time.Time
	told  bool
	last  time.Time
}

// maxMeters bounds the memory that keys take: who is forgotten may start anew.
const maxMeters = 10000

// take spends one. Beyond the limit it is not allowed, and tell is true for the first one since the key last kept quiet.
func (r *rate[K]) take(key K, at time.Time) (allowed, tell bool) {
	if r.perMinute == 0 {
		return true, false
	}
	step := time.Minute / time.Duration(r.perMinute)
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.keys[key]
	if !known && len(r.keys) >= maxMeters {
		r.forget(at)
	}
	if at.Before(m.last) {
		at = m.last // lanes run side by side: one that was held up in another comes late, and is no flood
	}
	if !known || !m.spent.After(at) {
		m = meter{spent: at}
	}
	m.last = at
	if m.spent.Sub(at) > time.Minute-step {
		tell = !m.told
		m.told = true
		r.keys[key] = m
		return false, tell
	}
	m.spent = m.spent.Add(step)
	if r.keys == nil {
		r.keys = map[K]meter{}
	}
	r.keys[key] = m
	return true, false
}

// forget makes room: for all who owe nothing, or else for anybody.
func (r *rate[K]) forget(at time.Time) {
	for key, m := range r.keys {
		if !m.spent.After(at) {
			delete(r.keys, key)
		}
	}
	for key := range r.keys {
		if len(r.keys) < maxMeters*9/10 { // a tenth at once, so that the next ones cost nothing
			return
		}
		delete(r.keys, key)
	}
}

// mayCommand implements commands.Limit. What is tried again, or goes on after its card or a restart, was counted before.
func (b *bot) mayCommand(ev invites.Received) (run, tell bool) {
	if _, admitted := b.admitted.Load(ev.Event); admitted || ev.Answer != "" {
		return true, false
	}
	if run, tell = b.commands.take(ev.Sender, ev.ReceivedAt); run {
		b.admitted.Store(ev.Event, true)
	} else {
		b.metrics.Limited("command")
	}
	return run, tell
}

// mayAnswer tells whether a room has had few enough answers for one more, and if not, whether to say so. Status messages are
// always sent: they end their commands.
func (b *bot) mayAnswer(ev invites.Received, reply commands.Reply) (allowed, tell bool) {
	if reply.Empty() || reply.Progress || ev.Answer != "" {
		return true, false
	}
	return b.answers.take(ev.Room, time.Now())
}
