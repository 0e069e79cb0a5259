package bot

import (
	"fmt"
	"runtime/debug"

	"usher/invites"
)

// survive is deferred where a panic would end the process. The event that met it is ended without an answer, lest it meet it again:
// the next one works. The event may be in parts, or none.
func (b *bot) survive(ev invites.Received) {
	cause := recover()
	if cause == nil {
		return
	}
	b.panicked(ev, cause)
	b.sealed.parking.leave(ev)
	if ev.Event != "" {
		b.end(ev.Event)
	}
}

// panicked counts a panic and logs where it was.
func (b *bot) panicked(ev invites.Received, cause any) {
	b.metrics.Panicked()
	b.log.Error().Stringer("room", ev.Room).Stringer("event", ev.Event).Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).
		Msg("a command panicked")
}
