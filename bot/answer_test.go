package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/delivery"
	"usher/metrics"
	"usher/store"
)

// sent is what a homeserver was asked to send.
type sent struct {
	mu     sync.Mutex
	bodies []string
	paths  []string
	status int  // of the answers; 0: 200
	secret bool // rooms are encrypted
	looks  int  // how often state was asked for
}

func (s *sent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, state, is := strings.Cut(r.URL.Path, "/state/"); is && s.status == 0 {
		s.state(w, state)
		return
	}
	s.bodies, s.paths = append(s.bodies, string(body)), append(s.paths, r.URL.Path)
	if s.status != 0 {
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, `{"errcode":"M_FORBIDDEN"}`)
		return
	}
	_, _ = io.WriteString(w, `{"event_id":"$answer"}`)
}

// state shows a room of which little is known.
func (s *sent) state(w http.ResponseWriter, path string) {
	s.looks++
	kind, key, _ := strings.Cut(path, "/")
	if kind == "m.room.create" || kind == "m.room.member" || s.secret && kind == "m.room.encryption" {
		_, _ = fmt.Fprintf(w, `{"type":%q,"state_key":%q,"sender":"@alice:here","event_id":"$state","content":{"membership":"join"}}`, kind, key)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errcode":"M_NOT_FOUND"}`)
}

// newBot is a bot with a real store before a homeserver that takes everything.
func newBot(t *testing.T) (*bot, *sent) {
	t.Helper()
	s := &sent{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := homeserver.NewClient(homeserver.ClientOptions{Homeserver: server.URL, Domain: "here", Bot: "@usher:here", Token: "t", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bot{ctx: t.Context(), log: zerolog.Nop(), store: db, port: loggedStore{stored{db}, db, zerolog.Nop()}, client: client, metrics: metrics.New("test", clock{})}
	b.state = homeserver.NewState(client, homeserver.StateOptions{Log: zerolog.Nop()})
	b.sealed.told, b.sealed.parking = map[id.RoomID]bool{}, newParking(func(invites.Received) {})
	b.domain = newDomain(b.port, watchedHomeserver{reads{b.state}, b.state}, nil, invites.Identity{Bot: "@usher:here", Domain: "here"}, delivery.Limits{Lease: lease})
	b.runner = &commands.Runner{UseCases: b.domain.useCases(), Notices: commands.Notices{Prefix: "!"}}
	return b, s
}

// receive puts a message into the inbox.
func receive(t *testing.T, b *bot, text string) invites.Received {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"content": map[string]any{"msgtype": "m.text", "body": text}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	fresh, err := b.store.Receive(t.Context(), []invites.Received{{
		Event: "$event", Room: "!r:here", Sender: "@alice:here", Type: "m.room.message", Raw: raw, SentAt: now, ReceivedAt: now,
	}})

	if err != nil || len(fresh) != 1 {
		t.Fatal(fresh, err)
	}
	return fresh[0]
}

func TestPanicIsAnswered(t *testing.T) {
	b, s := newBot(t)
	b.runner.Level = func(_ id.UserID) commands.Level { panic("inner secret") }
	ev := receive(t, b, "!ping")
	b.handle(t.Context(), ev)
	if len(s.bodies) != 2 || !strings.Contains(s.bodies[0], "💥") || strings.Contains(s.bodies[1], "inner secret") {
		t.Errorf("sent %q, want a reaction and a notice without inner secrets", s.bodies)
	}
	b.ending.Wait()
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
		t.Errorf("%+v %v: it would panic again", after, err)
	}
}

func TestAnswerHasTheSameTransactionIDAgain(t *testing.T) {
	b, s := newBot(t)
	b.runner.Level = func(_ id.UserID) commands.Level { return commands.Nobody }
	ev := receive(t, b, "!ping")
	for range 2 { // as after a crash between the answer and the note that it is out
		m, reply, err := b.dispatch(t.Context(), ev)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.tell(t.Context(), ev, m, reply); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.paths) != 2 || s.paths[0] != s.paths[1] {
		t.Errorf("sent to %q, want the same twice", s.paths)
	}
}

func TestMutedBotGoesOn(t *testing.T) {
	b, s := newBot(t)
	s.status = http.StatusForbidden
	b.runner.Level = func(_ id.UserID) commands.Level { return commands.Nobody }
	ev := receive(t, b, "!ping")
	b.handle(t.Context(), ev)
	b.ending.Wait()
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
		t.Errorf("%+v %v: it would be sent for ever", after, err)
	}
}

func TestUnansweredEventStaysInTheInbox(t *testing.T) {
	b, s := newBot(t)
	s.status = http.StatusBadGateway
	b.runner.Level = func(_ id.UserID) commands.Level { return commands.Nobody }
	ev := receive(t, b, "!ping")
	ctx, stop := context.WithCancel(t.Context())
	stop() // shutting down
	b.handle(ctx, ev)
	if waiting, err := b.store.WaitingAfter(t.Context(), 0, 10); err != nil || len(waiting) != 1 {
		t.Errorf("%v %v waits, want the event", waiting, err)
	}
}
