package bot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// TestPanicsAreSurvived: wherever an event meets a bug, the process goes on, and the event does not meet it again.
func TestPanicsAreSurvived(t *testing.T) {
	for name, meet := range map[string]func(*bot, invites.Received){
		"answering": func(b *bot, ev invites.Received) {
			if err := b.once(t.Context(), ev, true); err != nil {
				t.Error(err)
			}
		},
		"telling of rows":     func(b *bot, ev invites.Received) { b.tellOf(t.Context(), ev.Event, finished, 0) },
		"looking who is left": func(b *bot, ev invites.Received) { b.leaveIfAlone(ev.Room); b.end(ev.Event) },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBot(t)
			var log bytes.Buffer
			b.log = zerolog.New(&log)
			b.runner.Level = func(id.UserID) commands.Level { return commands.Nobody }
			b.client = nil // there is nothing to ask the homeserver with
			ev := settledCommand(t, b)
			meet(b, ev)
			b.ending.Wait()
			if n := strings.Count(log.String(), "a command panicked"); n != 1 {
				t.Errorf("logged %d times: %s", n, &log)
			}
			if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
				t.Errorf("%+v %v: it would panic again", after, err)
			}
		})
	}
}
