package bot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// joinedRooms remembers which rooms the bot is in, so that callbacks about all the other rooms cost no request. It is as large as the
// number of the bot's rooms, plus the rooms whose membership changed and nobody asked about since.
type joinedRooms struct {
	list  func(ctx context.Context) ([]id.RoomID, error)                                                                 // all rooms of the bot
	state func(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) // as homeserver.State.Snapshot

	mu     sync.Mutex
	loaded bool
	turn   int                // counts the changes, so that none is lost while the list is read
	rooms  map[id.RoomID]bool // false: the membership changed, and the homeserver is to be asked
}

// maxRooms bounds the memory: strangers invite the bot to any number of rooms.
const maxRooms = 100_000

// Changed notes that the bot's membership in a room changed; an empty id stands for all rooms.
func (j *joinedRooms) Changed(r id.RoomID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.turn++
	if r == "" || len(j.rooms) > maxRooms {
		j.loaded, j.rooms = false, nil
	} else if j.loaded {
		j.rooms[r] = false
	}
}

// In reports whether the bot is in a room.
func (j *joinedRooms) In(ctx context.Context, r id.RoomID) (bool, error) {
	if err := j.load(ctx); err != nil {
		return false, err
	}
	j.mu.Lock()
	sure, noted := j.rooms[r]
	turn := j.turn
	j.mu.Unlock()
	if sure || !noted {
		return sure, nil
	}
	_, err := j.state(ctx, r, "", nil, false)
	in := err == nil
	if err != nil && !errors.Is(err, invites.ErrNoView) {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.turn == turn && in {
		j.rooms[r] = true
	} else if j.turn == turn {
		delete(j.rooms, r)
	}
	return in, nil
}

// All returns the rooms of the bot in the order of their ids, and perhaps some that it has just left.
func (j *joinedRooms) All(ctx context.Context) ([]id.RoomID, error) {
	if err := j.load(ctx); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.rooms)), nil
}

// load reads the list of rooms, unless it is known.
func (j *joinedRooms) load(ctx context.Context) error {
	j.mu.Lock()
	loaded, turn := j.loaded, j.turn
	j.mu.Unlock()
	if loaded {
		return nil
	}
	list, err := j.list(ctx)
	if err != nil {
		return err
	}
	rooms := make(map[id.RoomID]bool, len(list))
	for _, r := range list {
		rooms[r] = true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.turn != turn {
		return errChanging
	}
	j.loaded, j.rooms = true, rooms
	return nil
}

var errChanging = errors.New("the bot's rooms change at the moment")
