package encryption

import (
	"context"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// rate is the messages allowed at once, and the messages a minute later on.
type rate struct{ burst, perMinute float64 }

// Messages to the device. An acquaintance is a user with a decrypted event, or with keys from the bot; every other user
// is a stranger. A stranger may be a member with the first event still on its way, so a few messages are taken in.
var (
	rateAcquaintance = rate{600, 120} // of each
	rateStranger     = rate{30, 10}   // of each
	rateServer       = rate{120, 60}  // of all strangers of another server
	rateOwnServer    = rate{1200, 600}
	rateStrangers    = rate{600, 300} // of all strangers of other servers
)

// bucket is the messages still allowed.
type bucket struct {
	left float64
	at   time.Time
}

// senders bounds the messages to the device. Memory is bounded too: only admitted messages make buckets.
type senders struct {
	bot id.UserID

	mu      sync.Mutex
	met     map[id.UserID]bool // senders of decrypted events
	buckets map[string]*bucket // by user id, by server, and "" for all strangers of other servers
	sweepAt int                // number of buckets at which full ones are removed
}

const (
	maxMet     = 20_000
	minBuckets = 1000
)

func newSenders(bot id.UserID) *senders {
	return &senders{bot: bot, met: map[id.UserID]bool{}, buckets: map[string]*bucket{}, sweepAt: minBuckets}
}

// meet makes a user an acquaintance, and reports whether the user was none.
func (s *senders) meet(user id.UserID) (stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.met[user] {
		return false
	}
	if len(s.met) >= maxMet {
		clear(s.met)
	}
	s.met[user] = true
	return true
}

// knows reports whether a user is an acquaintance of this process.
func (s *senders) knows(user id.UserID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return user == s.bot || s.met[user]
}

// admit reports whether a message may be taken in, and counts it.
func (s *senders) admit(user id.UserID, acquainted bool, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if acquainted {
		return s.take(now, limit{"+" + string(user), rateAcquaintance})
	}
	server := user.Homeserver()
	if server == s.bot.Homeserver() {
		return s.take(now, limit{string(user), rateStranger}, limit{server, rateOwnServer})
	}
	return s.take(now, limit{string(user), rateStranger}, limit{server, rateServer}, limit{"", rateStrangers})
}

type limit struct {
	name string
	rate rate
}

// take counts a message against all limits, or against none.
func (s *senders) take(now time.Time, limits ...limit) bool {
	for _, l := range limits {
		if b := s.buckets[l.name]; b != nil {
			b.left = min(l.rate.burst, b.left+now.Sub(b.at).Minutes()*l.rate.perMinute)
			b.at = now
			if b.left < 1 {
				return false
			}
		}
	}
	for _, l := range limits {
		if s.buckets[l.name] == nil {
			s.buckets[l.name] = &bucket{left: l.rate.burst, at: now}
		}
		s.buckets[l.name].left--
	}
	if len(s.buckets) >= s.sweepAt {
		for name, b := range s.buckets {
			if now.Sub(b.at) > longestRefill {
				delete(s.buckets, name)
			}
		}
		s.sweepAt = max(minBuckets, 2*len(s.buckets))
	}
	return true
}

// longestRefill is the time after which every bucket is full again.
const longestRefill = 5 * time.Minute

// meet makes the sender of a decrypted event an acquaintance: the sender's keys stay.
func (d *intake) meet(ctx context.Context, user id.UserID) error {
	if d.senders.knows(user) {
		return nil
	}
	if err := d.o.Keys.KeepStrays(ctx, user); err != nil {
		return err
	}
	d.senders.meet(user)
	return nil
}

// acquainted returns the acquaintances among users.
func (d *intake) acquainted(ctx context.Context, s *session, users []id.UserID) (map[id.UserID]bool, error) {
	found := map[id.UserID]bool{}
	var unknown []id.UserID
	for _, user := range users {
		if d.senders.knows(user) || d.rooms.mayRead(user) {
			found[user] = true
		} else {
			unknown = append(unknown, user)
		}
	}
	if len(unknown) == 0 {
		return found, nil
	}
	tracked, err := s.keys.FilterTrackedUsers(ctx, unknown) // the bot fetches devices of members only
	for _, user := range tracked {
		found[user] = true
	}
	return found, err
}
