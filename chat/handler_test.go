package chat

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/homeserver"
	"usher/invites"
	"usher/operator"
)

// TestRefusedTokenStopsEverything: /ready and the metrics say so, nothing is begun, and a waiting command runs once the token
// is taken again.
func TestRefusedTokenStopsEverything(t *testing.T) {
	s := &sent{}
	var refuses atomic.Bool
	refuses.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errcode":"M_UNKNOWN_TOKEN"}`)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client, err := homeserver.NewClient(homeserver.ClientOptions{Homeserver: server.URL, Domain: "here", Bot: "@usher:here", Token: "t", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newChat(t, func(o *Options) { o.Homeserver = client })
	health := operator.Health{Database: b.store, Tokens: client}
	if _, err := client.JoinedRooms(t.Context()); err == nil || !client.TokenRefused() {
		t.Fatal("the token was not refused")
	}
	if reasons := health.Reasons(); len(reasons) != 1 || !strings.Contains(reasons[0], "as_token") {
		t.Errorf("ready says %q", reasons)
	}
	if o, err := b.Status.Deliver(t.Context(), 1); err != nil || len(o) != 1 || o[0].Status != invites.StatusOpen {
		t.Errorf("%+v %v: a delivery was begun", o, err)
	}
	ev := receive(t, b, "!ping")
	if again := b.handle(t, ev); again.IsZero() || len(s.bodies) > 0 {
		t.Errorf("handled without a token: again %v, sent %q", again, s.bodies)
	}
	refuses.Store(false)
	client.Recheck(t.Context())
	if again := b.handle(t, ev); !again.IsZero() {
		t.Errorf("again at %v", again)
	}
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled || len(health.Reasons()) != 0 {
		t.Errorf("%+v %v %q", after, err, health.Reasons())
	}
}

// TestTroubleHasAnEnd: an event that meets trouble is handled again later, after growing pauses. Its answer is given up after an hour, so
// that its lane goes on.
func TestTroubleHasAnEnd(t *testing.T) {
	b, s := newChat(t)
	s.status = http.StatusBadGateway
	ev := receive(t, b, "!ping")
	for tries, pause := range map[int]time.Duration{0: time.Second, 3: 8 * time.Second, 100: 30 * time.Second} {
		now := time.Now()
		again := b.handler.Handle(t.Context(), &Turn{Event: ev, Since: now.Add(-answerPatience + time.Minute), Tries: tries})
		if wait := again.Sub(now); wait < pause || wait > pause+5*time.Second {
			t.Errorf("after %d tries again in %s, want %s", tries, wait, pause)
		}
	}
	s.mu.Lock()
	s.status, s.retryAfter = http.StatusTooManyRequests, "120"
	s.mu.Unlock()
	if again := b.handler.Handle(t.Context(), &Turn{Event: ev, Since: time.Now()}); time.Until(again) < 110*time.Second || time.Until(again) > 2*time.Minute {
		t.Errorf("again at %s, where the homeserver asks for two minutes", again)
	}
	if again := b.handler.Handle(t.Context(), &Turn{Event: ev, Since: time.Now().Add(-answerPatience - time.Minute), Tries: 100}); !again.IsZero() {
		t.Errorf("again at %s", again)
	}
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
		t.Errorf("%+v %v: it would be tried for ever", after, err)
	}
}

// reading counts how often events are read from the inbox.
type reading struct {
	inbox Received
	times int
}

func (r *reading) Received(ctx context.Context, event id.EventID) (invites.Received, error) {
	r.times++
	return r.inbox.Received(ctx, event)
}

// TestNewEventIsNotReadAgain: the content that came from the intake serves the first try, for a moment. After that the inbox knows better.
func TestNewEventIsNotReadAgain(t *testing.T) {
	b, s := newChat(t)
	inbox := &reading{inbox: b.handler.inbox}
	b.handler.inbox = inbox
	s.status = http.StatusBadGateway
	ev := receive(t, b, "!ping")
	ev.ReceivedAt = time.Now()
	turn := &Turn{Event: ev, Since: time.Now()}
	if again := b.handler.Handle(t.Context(), turn); again.IsZero() || inbox.times != 0 {
		t.Errorf("a new event was read %d times, again at %v", inbox.times, again)
	}
	if b.handler.Handle(t.Context(), turn); inbox.times != 1 {
		t.Errorf("at its second try it was read %d times", inbox.times)
	}
	ev.ReceivedAt = ev.ReceivedAt.Add(-time.Minute)
	if b.handler.Handle(t.Context(), &Turn{Event: ev, Since: time.Now()}); inbox.times != 2 {
		t.Error("an event that waited for a minute was not read")
	}
}
