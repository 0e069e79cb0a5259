package chat

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Joins of the bot in an hour at the word of the users of one server, by invitations and tombstones.
const (
	joinsOfServer = 60
	joinsOfOwn    = 1200 // of the bot's own server, whose operator knows the users
)

// joinLimit bounds how often the users of each server have the bot join rooms.
type joinLimit struct {
	mu      sync.Mutex
	servers *lru.LRU[string, *rate.Limiter]
}

func newJoinLimit() *joinLimit {
	servers, _ := lru.NewLRU[string, *rate.Limiter](maxMeters, nil) // fails for a size of 0 only
	return &joinLimit{servers: servers}
}

// allow counts one join at the word of a user. The spelling of a server's name does not matter.
func (l *joinLimit) allow(sender id.UserID, own string, at time.Time) bool {
	server, most := room.CanonicalServer(sender.Homeserver()), joinsOfServer
	if server == room.CanonicalServer(own) {
		most = joinsOfOwn
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, known := l.servers.Get(server)
	if !known {
		limiter = rate.NewLimiter(rate.Every(time.Hour/time.Duration(most)), most)
		l.servers.Add(server, limiter)
	}
	return limiter.AllowN(at, 1)
}
