package matrix

import (
	"sync"

	"maunium.net/go/mautrix/id"
)

// Awaited knows the events of Usher's own on which people vote by reactions, so that of all reactions in the stream only
// those on such an event cost a write. The zero value is not ready; NewAwaited makes one.
type Awaited struct {
	mu     sync.RWMutex
	events map[id.EventID]struct{}
}

// NewAwaited makes an empty set.
func NewAwaited() *Awaited { return &Awaited{events: map[id.EventID]struct{}{}} }

// Add notes an event. An empty id is none.
func (a *Awaited) Add(event id.EventID) {
	if event == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events[event] = struct{}{}
}

// Remove forgets an event: reactions on it are chat again.
func (a *Awaited) Remove(event id.EventID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.events, event)
}

// has looks for an event whose id stands in JSON.
func (a *Awaited) has(quoted []byte) bool {
	if quoted == nil {
		return false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.events) == 0 {
		return false
	}
	event, ok := unquote(quoted)
	if !ok {
		return false
	}
	_, found := a.events[id.EventID(event)]
	return found
}

// answers tells whether a reaction is by somebody else and on an awaited event
// (https://spec.matrix.org/latest/client-server-api/#event-annotations-and-reactions).
func (n *Intake) answers(e *rawEvent) bool {
	return string(e.content.rel) == `"m.annotation"` && string(e.sender) != n.own && n.o.Awaited.has(e.content.relEvent)
}

// removes tells whether a redaction is of an awaited event. A redaction of a vote is no such thing: it marks the vote, which
// is in the inbox.
func (n *Intake) removes(e *rawEvent) bool {
	return n.o.Awaited.has(e.redacts) || n.o.Awaited.has(e.content.redacts)
}
