package bot

import (
	"context"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/metrics"
	"usher/room"
)

// historian is the homeserver for a bot that shares the history of encrypted rooms: whom the bot itself has invited gets keys. Of
// others than who invited them, people's clients take none (MSC4268).
type historian struct {
	metrics.Actor
	bot *bot
}

// Act makes a change, and notes newly invited users.
func (h historian) Act(ctx context.Context, e invites.Effect) error {
	err := h.Actor.Act(ctx, e)
	if err == nil && e.Action == room.Invite && e.Performer == h.bot.self.Bot {
		h.bot.heirs.add(e.Room, e.Target, h.bot.handOn)
	}
	return err
}

// heirs are people who wait for the keys of a room's past. Those of one room get the same bundle. It is in memory only: an
// invitation is good without, and keys that nobody asked for are not worth a commit.
type heirs struct {
	mu      sync.Mutex
	waiting map[id.RoomID][]id.UserID
	busy    bool
}

// add has somebody wait, and starts to work if nobody does.
func (h *heirs) add(r id.RoomID, user id.UserID, work func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[id.RoomID][]id.UserID{}
	}
	h.waiting[r] = append(h.waiting[r], user)
	if !h.busy {
		h.busy = true
		go work()
	}
}

// next takes the people of one room, or ends the work.
func (h *heirs) next() (r id.RoomID, users []id.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, users = range h.waiting {
		delete(h.waiting, r)
		return r, users
	}
	h.busy = false
	return "", nil
}

// Bounds of sharing keys with the people of one room.
const (
	handOnTime  = time.Minute
	handOnTries = 3
)

// handOn shares keys until nobody waits.
func (b *bot) handOn() {
	for r, users := b.heirs.next(); r != ""; r, users = b.heirs.next() {
		devices, err := b.shareHistory(r, users)
		log := b.log.With().Stringer("room", r).Int("people", len(users)).Int("devices", devices).Logger()
		if err != nil && b.ctx.Err() == nil {
			log.Warn().Err(err).Msg("not all could be given the keys of what was said before")
		} else if devices > 0 {
			log.Info().Msg("gave the newly invited the keys of what was said before")
		}
	}
}

// shareHistory shares a room's keys, again if nobody got any for a reason that may pass.
func (b *bot) shareHistory(r id.RoomID, users []id.UserID) (devices int, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, handOnTime)
	defer cancel()
	for try := range handOnTries {
		devices, err = b.sealed.device.ShareHistory(ctx, r, users)
		if err == nil || devices > 0 || invites.Unseen(err) {
			break
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(firstPause << try):
		}
	}
	return devices, err
}
