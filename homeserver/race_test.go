package homeserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/room"
)

// TestFetchMeetsChange holds an answer back that was read before a change, and lets the change come first.
func TestFetchMeetsChange(t *testing.T) {
	for name, change := range map[string]func(*State){
		"of the key":         func(st *State) { st.Changed("!r", power) },
		"of the room":        func(st *State) { st.Invalidate("!r") },
		"of everything":      func(st *State) { st.InvalidateAll() },
		"of the bot's place": func(st *State) { st.Changed("!r", room.MemberKey("@usher:x")) },
		"of its event":       func(st *State) { st.Forget("!r", "$m.room.power_levels") },
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stub)
			s.inRoom()
			s.state("m.room.power_levels", "", "@a:x", `{"old":1}`)
			st := NewState(s.client(t, time.Minute), StateOptions{})
			look(t, st)
			s.mu.Lock()
			s.hold, s.holding = make(chan struct{}), make(chan string, 9)
			s.mu.Unlock()
			early := make(chan error, 1)
			go func() {
				_, err := st.Snapshot(t.Context(), "!r", "", []room.Key{power}, false)
				early <- err
			}()
			<-s.holding
			s.state("m.room.power_levels", "", "@a:x", `{"new":1}`)
			change(st)
			late := make(chan string, 1)
			go func() { // must not share the early fetch
				snap, err := st.Snapshot(t.Context(), "!r", "", []room.Key{power}, false)
				if err != nil {
					late <- err.Error()
					return
				}
				late <- content(t, snap, power)
			}()
			<-s.holding
			close(s.hold)
			if got := <-late; got != `{"new":1}` {
				t.Errorf("the late one got %s", got)
			}
			if err := <-early; err != nil {
				t.Error(err)
			}
			if got := content(t, look(t, st, power), power); got != `{"new":1}` {
				t.Errorf("kept %s", got)
			}
		})
	}
}

// TestFetchShared shows that one fetch serves all who want it, and outlives the one who began it.
func TestFetchShared(t *testing.T) {
	s := &stub{hold: make(chan struct{}), holding: make(chan string, 99)}
	s.inRoom()
	st := NewState(s.client(t, time.Minute), StateOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 11)
	ask := func(ctx context.Context) {
		_, err := st.Snapshot(ctx, "!r", "", []room.Key{power}, false)
		results <- err
	}
	go ask(ctx)
	for range 3 {
		<-s.holding
	}
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for range 10 {
		go ask(t.Context())
	}
	close(s.hold)
	for range 10 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := s.paths(); len(got) != 3 {
		t.Errorf("asked %q", got)
	}
}

// TestNeverStale lets state move on while it is read: a snapshot never shows less than had been announced before it was
// asked for.
func TestNeverStale(t *testing.T) {
	var version, announced atomic.Int64 // of the power levels
	st := NewState(moving(t, &version), StateOptions{})
	var readers, writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Add(1)
	go func() {
		defer writer.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			v := version.Add(1)
			if v%7 == 0 {
				st.Invalidate("!r")
			} else {
				st.Changed("!r", power)
			}
			announced.Store(v)
		}
	}()
	for i := range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for n := range 200 {
				least := announced.Load()
				snap, err := st.Snapshot(t.Context(), "!r", "", []room.Key{power}, (n+i)%50 == 0)
				if err != nil {
					t.Error(err)
					return
				}
				var got struct{ Version int64 }
				e, _ := snap.Event(power)
				if e == nil || json.Unmarshal(e.Content, &got) != nil || got.Version < least {
					t.Errorf("got %v, announced %d", e, least)
					return
				}
			}
		}()
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}

// moving is a client of a homeserver where the power levels are of the version that they are asked for at.
func moving(t *testing.T, version *atomic.Int64) *Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/_matrix/client/v3/rooms/!r/state/") {
		case "m.room.power_levels/":
			_, _ = io.WriteString(w, stateEvent("m.room.power_levels", "", "@a:x", fmt.Sprint(`{"version":`, version.Load(), `}`)))
		case "m.room.member/@usher:x":
			_, _ = io.WriteString(w, stateEvent("m.room.member", "@usher:x", "@a:x", `{"membership":"join"}`))
		default:
			_, _ = io.WriteString(w, stateEvent("m.room.create", "", "@a:x", `{}`))
		}
	}))
	t.Cleanup(server.Close)
	c, err := NewClient(ClientOptions{Homeserver: server.URL, Domain: "x", Bot: "@usher:x", Token: botToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
