package store

import (
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// marks remembers of the events that arrived lately whether they were taken back, where this process is the only one that
// writes. It is told within the writes themselves, so in their order. nil remembers nothing.
type marks struct {
	mu     sync.Mutex
	events map[id.EventID]mark
}

type mark struct{ redacted, state bool }

// maxMarks bounds what is remembered; the database knows the rest.
const maxMarks = 4096

func (m *marks) received(events []invites.Received) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events)+len(events) > maxMarks {
		clear(m.events)
	}
	for i := range events {
		m.events[events[i].Event] = mark{events[i].Redacted, events[i].StateKey != nil}
	}
}

func (m *marks) redact(event id.EventID) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if of, known := m.events[event]; known {
		of.redacted = true
		m.events[event] = of
	}
}

func (m *marks) of(event id.EventID) (of mark, known bool) {
	if m == nil {
		return of, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of, known = m.events[event]
	return of, known
}
