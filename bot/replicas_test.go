package bot

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/homeserver"
	"usher/invites"
)

// TestLeftBehindInVain: what a replica that is gone has left, and that can't be done, does not hold its room up for good.
func TestLeftBehindInVain(t *testing.T) {
	b, s := newBot(t)
	b.wire = newSharedWire(t)
	b.store, b.port = b.wire.store, b.wire.store
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/join/") {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "the room's server is gone")
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	var err error
	b.client, err = homeserver.NewClient(homeserver.ClientOptions{Homeserver: server.URL, Domain: "here", Bot: "@usher:here", Token: "t", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b.state, b.self = homeserver.NewState(b.client, homeserver.StateOptions{Log: zerolog.Nop()}), b.invites.Self
	b.desk.Level = func(id.UserID) commands.Level { return commands.Operator }
	begun := make(chan struct{})
	go func() {
		_ = b.store.Listen(t.Context(), func() { close(begun) }, func(text string) { b.hear(t.Context(), text) })
	}()
	<-begun
	bot, long := "@usher:here", time.Now().Add(-24*time.Hour)
	events, err := b.store.Receive(t.Context(), []invites.Received{
		{Event: "$1", Room: "!r:here", Sender: "@alice:here", Type: "m.room.member", StateKey: &bot, SentAt: long, ReceivedAt: long,
			Raw: json.RawMessage(`{"content":{"membership":"invite"}}`)},
		{Event: "$2", Room: "!r:here", Sender: "@alice:here", Type: "m.room.message", SentAt: long, ReceivedAt: time.Now()},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	came := false
	if err := b.inLane(ctx, events[1], func() error { came = true; return nil }); err != nil || !came {
		t.Errorf("its turn did not come: %v", err)
	}
	b.ending.Wait()
	if after, err := b.store.Received(t.Context(), "$1"); err != nil || !after.Handled {
		t.Errorf("%+v, %v", after, err)
	}
}
