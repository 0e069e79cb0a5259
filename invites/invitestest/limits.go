package invitestest

import (
	"sync"
	"time"

	"usher/invites"
)

// Limit is how often something may be done: that often at once, and so often in a second after that.
type Limit struct {
	PerSecond float64
	Burst     float64
}

// Limits limit invitations as Synapse does: by room, by invitee and by sender, in this order. The zero Limit is none.
type Limits struct {
	Room, Invitee, Sender Limit
	Clock                 invites.Clock

	mu      sync.Mutex
	buckets map[string]bucket
}

// bucket counts what was done since a time.
type bucket struct {
	count float64
	since time.Time
}

// SynapseLimits are the limits that Synapse has by default.
func SynapseLimits(clock invites.Clock) *Limits {
	return &Limits{Room: Limit{0.3, 10}, Invitee: Limit{0.003, 5}, Sender: Limit{0.3, 10}, Clock: clock}
}

// Before answers 429 where a limit is met; it is a Homeserver's Before.
func (l *Limits) Before(e invites.Effect) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range []struct {
		Limit
		key string
	}{{l.Room, "room " + string(e.Room)}, {l.Invitee, "invitee " + string(e.Target)}, {l.Sender, "sender " + string(e.Performer)}} {
		if wait, ok := l.do(of.Limit, of.key); !ok {
			return &invites.ActError{Class: invites.ClassLater, Code: "M_LIMIT_EXCEEDED", Status: 429, RetryAfter: wait}
		}
	}
	return nil
}

// do is Synapse's Ratelimiter.can_do_action: what is refused does not count.
func (l *Limits) do(limit Limit, key string) (wait time.Duration, ok bool) {
	if limit.PerSecond == 0 {
		return 0, true
	}
	now := l.Clock.Now()
	b, known := l.buckets[key]
	if !known || b.count-now.Sub(b.since).Seconds()*limit.PerSecond < 0 {
		b = bucket{since: now}
	}
	if b.count-now.Sub(b.since).Seconds()*limit.PerSecond > limit.Burst-1 {
		at := b.since.Add(time.Duration((b.count - limit.Burst + 1) / limit.PerSecond * float64(time.Second)))
		return at.Sub(now).Truncate(time.Millisecond), false // as retry_after_ms has it
	}
	b.count++
	if l.buckets == nil {
		l.buckets = map[string]bucket{}
	}
	l.buckets[key] = b
	return 0, true
}
