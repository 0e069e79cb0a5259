package chat

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Counters counts for the metrics.
type Counters interface {
	LaneWait(waited time.Duration)
	Limited(kind string) // "command" or "answer"
	Panicked()
}

// ender marks events of the inbox as handled.
type ender struct {
	inbox interface {
		Handled(ctx context.Context, event id.EventID) error
	}
	waiting    *waitingForKeys
	background *Background
	counters   Counters
	log        zerolog.Logger
}

// end marks an event as handled, beside the lane, once its reply is out. Nothing waits for that commit, so it can be shared. After a crash
// before it, the next start sends the same answer under the same transaction id.
func (e *ender) end(event id.EventID) {
	e.background.Do(func(ctx context.Context) {
		if err := e.inbox.Handled(context.WithoutCancel(ctx), event); err != nil {
			e.log.Warn().Err(err).Stringer("event", event).Msg("Answered event not marked")
		}
	})
}

// recoverPanic is deferred where a panic would end the process. The event ends without an answer, so it can't meet the
// panic again. The event may have some fields only, or none.
func (e *ender) recoverPanic(ev invites.Received) {
	cause := recover()
	if cause == nil {
		return
	}
	e.panicked(ev, cause)
	e.waiting.leave(ev)
	if ev.Event != "" {
		e.end(ev.Event)
	}
}

// panicked counts a panic and logs where it was.
func (e *ender) panicked(ev invites.Received, cause any) {
	e.counters.Panicked()
	e.log.Error().Stringer("room", ev.Room).Stringer("event", ev.Event).Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).
		Msg("Panic")
}
