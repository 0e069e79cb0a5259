package encryption

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/loop"
)

// lateShare is the key of a session on its way to the devices of users.
type lateShare struct {
	room    id.RoomID
	session *outbound
	server  string // of the users, if they are of one server
	users   []id.UserID
	done    map[deviceOf]bool // devices with the key, or with a notice

	device id.IdentityKey // the only device to get the key, a new one; empty: all of the users
	until  time.Time      // when a new device is given up

	next  time.Time // when the server is asked again
	pause loop.Backoff
}

// Bounds of late keys.
const (
	firstLate    = 5 * time.Second
	lastLate     = 10 * time.Minute
	maxLate      = 10_000
	parallelLate = 4 // servers asked at a time
)

// lateShares is the keys still to be sent, because a server did not answer when the session was made.
type lateShares struct {
	mu   sync.Mutex
	list []*lateShare
}

// add plans the next try. Beyond maxLate the oldest entry is dropped: its devices get the key of the next session.
func (l *lateShares) add(s *lateShare, now time.Time) {
	s.pause.First, s.pause.Last = firstLate, lastLate
	s.next = now.Add(s.pause.Next())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list = append(l.list, s); len(l.list) > maxLate {
		l.list = slices.Delete(l.list, 0, 1)
	}
}

// due takes out the entries to try now: one of each server, and at most parallelLate.
func (l *lateShares) due(now time.Time) (due []*lateShare) {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := map[string]bool{}
	l.list = slices.DeleteFunc(l.list, func(s *lateShare) bool {
		if len(due) == parallelLate || now.Before(s.next) || taken[s.server] {
			return false
		}
		taken[s.server] = true
		due = append(due, s)
		return true
	})
	return due
}

// hasten has the keys for new devices of users sent at once: the homeserver says that the users' devices have changed.
func (l *lateShares) hasten(users []id.UserID, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.list {
		if s.device != "" && slices.Contains(users, s.users[0]) {
			s.pause.Reset()
			s.next = now
		}
	}
}

// latePoll is how often due keys are looked for.
const latePoll = time.Second

// shareLate sends late keys until ctx ends.
func (d *sharer) shareLate(ctx context.Context) {
	loop.Every(ctx, latePoll, func(ctx context.Context) {
		var tries sync.WaitGroup
		for _, s := range d.late.due(d.o.Now()) {
			tries.Go(func() {
				silent, err := d.tryLate(ctx, s)
				if err != nil && !errors.Is(err, errSuperseded) {
					d.log.Debug().Err(cause(err)).Stringer("room", s.room).Str("server", s.server).Msg("a key that follows later could not be sent")
				}
				if silent || err != nil && !errors.Is(err, errSuperseded) {
					d.late.add(s, d.o.Now())
				}
			})
		}
		tries.Wait()
	})
}

// tryLate sends a key to the devices without it. A session no longer in use needs none, except by new devices, which can't read
// its events otherwise. silent means: the server still does not answer, or does not list the new device.
func (d *sharer) tryLate(ctx context.Context, o *lateShare) (silent bool, err error) {
	if o.device == "" && !d.rooms.isLatest(o.room, o.session) || o.device != "" && d.o.Now().After(o.until) {
		return false, nil
	}
	s, err := d.currentSession(ctx)
	if err != nil {
		return false, err
	}
	found, mute, err := s.fetch.devices(ctx, o.users, lateTime)
	if err != nil {
		return false, fmt.Errorf("fetching devices: %w", cause(err))
	}
	making := o.room
	if o.device != "" {
		making = "" // the other devices found get no key
	}
	if err := d.saveDevices(ctx, making, o.users, found); err != nil {
		return false, err
	}
	result, err := d.share(ctx, o, lateTime)
	o.done = result.done
	return len(mute) > 0 || len(result.silent) > 0 || o.device != "" && len(o.done) == 0, err
}

// wedge is the device of an undecryptable Olm message.
type wedge struct {
	user id.UserID
	key  id.IdentityKey
}

// Bounds of the repair of Olm sessions.
const (
	repairPause = time.Hour // between two repairs for one device
	maxRepairs  = 1000      // devices remembered
)

// repairs is the devices to make new Olm sessions with.
type repairs struct {
	wanted chan wedge

	mu sync.Mutex
	at map[wedge]time.Time // when a repair began
}

// ask plans a repair, unless the device had one a moment ago, or too many are planned.
func (r *repairs) ask(w wedge, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.at[w].Add(repairPause)) {
		return
	}
	if len(r.at) >= maxRepairs {
		for old, at := range r.at {
			if !now.Before(at.Add(repairPause)) {
				delete(r.at, old)
			}
		}
	}
	if len(r.at) >= maxRepairs {
		return
	}
	select {
	case r.wanted <- w:
		r.at[w] = now
	default:
	}
}

// repairSessions makes new Olm sessions with the devices of undecryptable messages, one after the other, until ctx ends. The devices
// then use these sessions (https://spec.matrix.org/latest/client-server-api/#recovering-from-undecryptable-messages).
func (d *intake) repairSessions(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-d.repairs.wanted:
			if err := d.repair(ctx, w); err != nil && ctx.Err() == nil {
				d.log.Debug().Err(cause(err)).Stringer("user", w.user).Msg("an Olm session could not be repaired")
			}
		}
	}
}

// repair makes a new Olm session with a known device and sends an empty message by it.
func (d *intake) repair(ctx context.Context, w wedge) error {
	var device *id.Device
	err := d.step(ctx, &offline{}, func(ctx context.Context, s *session) (err error) {
		if device, err = s.keys.FindDeviceByKey(ctx, w.user, w.key); device != nil {
			s.keys.replace(w.key)
		}
		return err
	})
	if err != nil || device == nil {
		return err
	}
	_, _, err = d.sharer.sealForDevices(ctx, toDevices{kind: event.ToDeviceDummy}, []*id.Device{device}, keyTime)
	return err
}
