package chat

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// KeySharer shares the keys of a room's past with users.
type KeySharer interface {
	// ShareHistory returns the number of devices with the keys.
	ShareHistory(ctx context.Context, r id.RoomID, users []id.UserID) (devices int, err error)
}

// HistorySharing gives users the keys of a room's past after an invitation by the bot itself. Clients take such keys from their inviter
// alone (MSC4268). It keeps its users in memory only: an invitation is good without the keys.
type HistorySharing struct {
	keys       KeySharer
	background *Background
	log        zerolog.Logger

	mu      sync.Mutex
	waiting map[id.RoomID][]id.UserID // users of one room get the same bundle
	busy    bool
}

// NewHistorySharing makes a HistorySharing.
func NewHistorySharing(keys KeySharer, background *Background, log zerolog.Logger) *HistorySharing {
	return &HistorySharing{keys: keys, background: background, log: log, waiting: map[id.RoomID][]id.UserID{}}
}

// Invited has a user get the keys soon: the bot has just invited the user to a room.
func (h *HistorySharing) Invited(r id.RoomID, user id.UserID) {
	h.mu.Lock()
	h.waiting[r] = append(h.waiting[r], user)
	begin := !h.busy
	h.busy = true
	h.mu.Unlock()
	if begin {
		h.background.Do(h.shareAll)
	}
}

// next takes the users of one room. It returns an empty room id at the end.
func (h *HistorySharing) next() (r id.RoomID, users []id.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, users = range h.waiting {
		delete(h.waiting, r)
		return r, users
	}
	h.busy = false
	return "", nil
}

// Bounds of sharing keys with the users of one room.
const (
	shareTime  = time.Minute
	shareTries = 3
)

// shareAll shares keys until no user waits.
func (h *HistorySharing) shareAll(ctx context.Context) {
	for r, users := h.next(); r != ""; r, users = h.next() {
		devices, err := h.share(ctx, r, users)
		log := h.log.With().Stringer("room", r).Int("people", len(users)).Int("devices", devices).Logger()
		if err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("History keys not shared")
		} else if devices > 0 {
			log.Info().Msg("History keys shared")
		}
	}
}

// share shares a room's keys, again if no device got any for a passing reason.
func (h *HistorySharing) share(ctx context.Context, r id.RoomID, users []id.UserID) (devices int, err error) {
	ctx, cancel := context.WithTimeout(ctx, shareTime)
	defer cancel()
	for try := range shareTries {
		devices, err = h.keys.ShareHistory(ctx, r, users)
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
