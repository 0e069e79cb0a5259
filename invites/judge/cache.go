package judge

import (
	"sync"

	"maunium.net/go/mautrix/id"
)

// eventKey names an event. Its id alone may be an attacker's choice, in rooms of versions 1 and 2; the size of its content
// tells whether it was redacted.
type eventKey struct {
	room  id.RoomID
	event id.EventID
	size  int
}

// Bounds of a cache, in values and in bytes; a full one is forgotten.
const (
	maxCached = 4096
	maxBytes  = 16 << 20
)

// cache keeps values which never change under a key: events, and results following from events.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	kept  map[K]V
	bytes int
}

// get returns the value under a key, or makes and keeps it. fresh also returns about how many bytes the value takes.
func (c *cache[K, V]) get(key K, fresh func() (V, int, error)) (V, error) {
	c.mu.Lock()
	v, known := c.kept[key]
	c.mu.Unlock()
	if known {
		return v, nil
	}
	v, size, err := fresh()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxCached || c.bytes+size > maxBytes {
		c.kept, c.bytes = map[K]V{}, 0
	}
	c.kept[key] = v
	c.bytes += size
	return v, nil
}
