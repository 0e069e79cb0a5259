package chat

import (
	"fmt"
	"runtime/debug"
	"time"

	"usher/invites"
)

// Counters counts for the metrics.
type Counters interface {
	LaneWait(waited time.Duration)
	Limited(kind string) // "command" or "answer"
	Panicked()
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
