package chat

import (
	"bytes"
	"strings"
	"testing"

	"usher/invites"
)

// noHomeserver panics at each request.
type noHomeserver struct{ Homeserver }

// TokenRefused implements Token.
func (noHomeserver) TokenRefused() bool { return false }

// TestPanicsAreSurvived: wherever an event meets a bug, the process goes on, and the event does not meet it again.
func TestPanicsAreSurvived(t *testing.T) {
	for name, meet := range map[string]func(*fixture, invites.Received){
		"answering": func(b *fixture, ev invites.Received) {
			if err := b.handler.once(t.Context(), &Turn{Event: ev}, true); err != nil {
				t.Error(err)
			}
		},
		"telling of rows": func(b *fixture, ev invites.Received) { b.Status.reportOrRetry(t.Context(), ev.Event, finished, 0) },
		"looking who is left": func(b *fixture, ev invites.Received) {
			b.Members.leaveIfAlone(t.Context(), ev.Room)
			b.handler.end(ev.Event)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			b, _ := newChat(t, logTo(&log), func(o *Options) { o.Homeserver = noHomeserver{} })
			ev := settledCommand(t, b)
			meet(b, ev)
			if err := b.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(log.String(), `"message":"Panic"`); n != 1 {
				t.Errorf("logged %d times: %s", n, &log)
			}
			if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
				t.Errorf("%+v %v: it would panic again", after, err)
			}
		})
	}
}
