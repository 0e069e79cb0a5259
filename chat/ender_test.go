package chat

import (
	"context"
	"slices"
	"testing"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// marks is an inbox that keeps what each call marks.
type marks struct{ calls [][]id.EventID }

func (m *marks) Handled(_ context.Context, events ...id.EventID) error {
	m.calls = append(m.calls, events)
	return nil
}

// TestEndedEventsAreMarkedTogether: events that end shortly after each other are marked by one call, at the end of Usher at once, and don't
// begin again before.
func TestEndedEventsAreMarkedTogether(t *testing.T) {
	inbox := &marks{}
	e := &ender{inbox: inbox, background: NewBackground(), log: zerolog.Nop()}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { e.background.Run(ctx); close(over) }()
	want := []id.EventID{"$1", "$2", "$3"}
	for _, event := range want {
		e.end(event)
	}
	if !e.over("$1") || !e.over("$3") || e.over("$4") {
		t.Error("it is not known which events are over")
	}
	stop()
	<-over
	if err := e.background.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(inbox.calls) == 0 || len(inbox.calls) > 2 || !slices.Equal(slices.Concat(inbox.calls...), want) || e.over("$1") {
		t.Errorf("marked %v, want %v by one call", inbox.calls, want)
	}
}
