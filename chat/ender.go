package chat

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// markPause is how long the mark of an answered event waits for the marks of others, to share their statement and commit.
const markPause = 50 * time.Millisecond

// ender marks events of the inbox as handled.
type ender struct {
	inbox interface {
		Handled(ctx context.Context, events ...id.EventID) error
	}
	waiting    *waitingForKeys
	background *Background
	counters   Counters
	log        zerolog.Logger

	mu    sync.Mutex
	ended []id.EventID        // to be marked together
	known map[id.EventID]bool // these, and those being marked
}

// end marks an event as handled, beside the lane, once its reply is out, together with the events that end soon after. Nothing waits for that
// commit. After a crash before it, the next start sends the same answer under the same transaction id.
func (e *ender) end(event id.EventID) {
	e.mu.Lock()
	if e.known == nil {
		e.known = map[id.EventID]bool{}
	}
	e.known[event] = true
	e.ended = append(e.ended, event)
	first := len(e.ended) == 1
	e.mu.Unlock()
	if !first {
		return
	}
	e.background.Do(func(ctx context.Context) {
		select {
		case <-time.After(markPause):
		case <-ctx.Done():
		}
		e.mark(context.WithoutCancel(ctx))
	})
}

// mark marks the ended events.
func (e *ender) mark(ctx context.Context) {
	e.mu.Lock()
	events := e.ended
	e.ended = nil
	e.mu.Unlock()
	if err := e.inbox.Handled(ctx, events...); err != nil {
		e.log.Warn().Err(err).Interface("events", events).Msg("Answered events not marked")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range events {
		delete(e.known, event)
	}
}

// over reports whether an event has ended and waits for its mark: the inbox may bring it once more meanwhile.
func (e *ender) over(event id.EventID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[event]
}
