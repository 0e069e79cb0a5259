package homeserver

import "time"

// Counters is told what happens, for metrics. Its methods are called on hot paths and must not block.
type Counters interface {
	// Call counts a request to the homeserver: a short name such as "invite", and the HTTP status, 0 without an answer.
	Call(endpoint string, status int, took time.Duration)
	// Act counts a membership change, by its result.
	Act(action string, err error)
	// Cache counts snapshots of rooms: hit means that no request was needed.
	Cache(hit bool)
}

// nobody counts nothing.
type nobody struct{}

func (nobody) Call(string, int, time.Duration) {}
func (nobody) Act(string, error)               {}
func (nobody) Cache(bool)                      {}
