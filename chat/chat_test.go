package chat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/metrics"
	"usher/store"
	"usher/store/storetest"
)

// sent is what a homeserver was asked to send.
type sent struct {
	mu     sync.Mutex
	bodies []string
	paths  []string
	status int    // of the answers; 0: 200
	refuse string // paths with this part are refused; empty: none
	secret bool   // rooms are encrypted
	policy string // content of each room's policy; empty: none
	id     string // of its event; empty: another one each time
	gone   string // its unsigned part; empty: none
	looks  int    // how often state was asked for

	retryAfter string // in refusals
}

func (s *sent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, state, is := strings.Cut(r.URL.Path, "/state/"); is && s.status == 0 {
		s.state(w, state)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/whoami") && s.status == 0 {
		_, _ = io.WriteString(w, `{"user_id":"@usher:here"}`)
		return
	}
	if strings.Contains(r.URL.Path, "/event/") && s.status == 0 {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errcode":"M_NOT_FOUND"}`)
		return
	}
	if strings.Contains(r.URL.Path, "/relations/") && s.status == 0 {
		_, _ = io.WriteString(w, `{"chunk":[]}`)
		return
	}
	if s.refuse != "" && strings.Contains(r.URL.Path, s.refuse) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errcode":"M_FORBIDDEN"}`)
		return
	}
	s.bodies, s.paths = append(s.bodies, string(body)), append(s.paths, r.URL.Path)
	if s.status != 0 {
		w.Header().Set("Retry-After", s.retryAfter)
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, `{"errcode":"M_FORBIDDEN"}`)
		return
	}
	_, _ = io.WriteString(w, `{"event_id":"$answer"}`)
}

// count returns the number of requests whose path has a part.
func (s *sent) count(part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range s.paths {
		if strings.Contains(path, part) {
			n++
		}
	}
	return n
}

// state shows a room of which little is known.
func (s *sent) state(w http.ResponseWriter, path string) {
	s.looks++
	kind, key, _ := strings.Cut(path, "/")
	if kind == "m.room.create" || kind == "m.room.member" || s.secret && kind == "m.room.encryption" {
		_, _ = fmt.Fprintf(w, `{"type":%q,"state_key":%q,"sender":"@alice:here","event_id":"$state","content":{"membership":"join"}}`, kind, key)
		return
	}
	if kind == "m.room.power_levels" && s.id != "" {
		_, _ = fmt.Fprintf(w, `{"type":%q,"state_key":"","sender":"@alice:here","event_id":"$levels","content":{"users":{"@alice:here":100,"@mod:here":50},"events":{"chat.usher.policy":100}}}`, kind)
		return
	}
	if kind == "chat.usher.policy" && s.policy != "" {
		event, unsigned := cmp.Or(s.id, fmt.Sprintf("$policy%d", s.looks)), cmp.Or(s.gone, "{}")
		_, _ = fmt.Fprintf(w, `{"type":%q,"state_key":%q,"sender":"@alice:here","event_id":%q,"content":%s,"unsigned":%s}`, kind, key, event, s.policy, unsigned)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errcode":"M_NOT_FOUND"}`)
}

// fixture is a Chat with a real store before a homeserver that takes everything. Its lanes and its feed don't run.
type fixture struct {
	*Chat
	store  *store.Store
	client *homeserver.Client
	state  *homeserver.State
	runner *commands.Runner
	level  commands.Level // of everybody
}

// clock is the real one.
type clock struct{}

// Now implements invites.Clock.
func (clock) Now() time.Time { return time.Now() }

// newChat makes a fixture.
func newChat(t *testing.T, edits ...func(*Options)) (*fixture, *sent) {
	t.Helper()
	s := &sent{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := homeserver.NewClient(homeserver.ClientOptions{Homeserver: server.URL, Domain: "here", Bot: "@usher:here", Token: "t", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t)
	f := &fixture{store: db, client: client, state: homeserver.NewState(client, homeserver.StateOptions{Log: zerolog.Nop()})}
	self := invites.Identity{Bot: "@usher:here", Domain: "here"}
	d := invitestest.New(db, invitestest.Surroundings{Homeserver: f.state, Clock: clock{}, Self: self, Lease: time.Minute})
	f.runner = &commands.Runner{
		UseCases: commands.UseCases{Requests: d.Requests, Policies: d.Editor, Ledger: d.Ledger, Cards: d.Cards, Links: d.Links, Judge: d.Judge, Clock: clock{}, Choices: db},
		Notices:  commands.Notices{Prefix: "!"},
	}
	f.runner.Level = func(id.UserID) commands.Level { return f.level }
	o := Options{
		Self: self, Runner: f.runner, Stores: Stores{db, db, db}, Homeserver: client, Knockers: client, State: f.state,
		Cases: Cases{d.Cards, d.Knocks, d.Requests, d.Guard, d.Ledger.Expiries, requests.Bulk{Requests: d.Requests}, d.Delivery, d.Requests.Limits, d.Ledger.Reviews, d.Moves, d.Welcomes, d.Spaces, d.Movers},
		Index: Index{appservice.NewCards(), appservice.NewPending()}, Counters: metrics.New("test", clock{}), Log: zerolog.Nop(),
	}
	for _, edit := range edits {
		edit(&o)
	}
	f.Chat = New(o)
	go f.background.Run(t.Context())
	return f, s
}

// logTo has a Chat log to a buffer.
func logTo(log *bytes.Buffer) func(*Options) {
	return func(o *Options) { o.Log = zerolog.New(zerolog.SyncWriter(log)) }
}

// handle makes a first try at an event and waits for the notes beside the lane.
func (f *fixture) handle(t *testing.T, ev invites.Received) (again time.Time) {
	t.Helper()
	again = f.handler.Handle(t.Context(), &Turn{Event: ev, Since: time.Now()})
	if err := f.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return again
}

// receive puts a message into the inbox.
func receive(t *testing.T, b *fixture, text string) invites.Received {
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
	b, s := newChat(t)
	b.runner.Level = func(_ id.UserID) commands.Level { panic("inner secret") }
	ev := receive(t, b, "!ping")
	b.handle(t, ev)
	if len(s.bodies) != 2 || !strings.Contains(s.bodies[0], "💥") || strings.Contains(s.bodies[1], "inner secret") {
		t.Errorf("sent %q, want a reaction and a notice without inner secrets", s.bodies)
	}
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
		t.Errorf("%+v %v: it would panic again", after, err)
	}
}

func TestAnswerHasTheSameTransactionIDAgain(t *testing.T) {
	b, s := newChat(t)
	ev := receive(t, b, "!ping")
	for range 2 { // as after a crash between the answer and the note that it is out
		m, reply, err := b.handler.dispatch(t.Context(), &Turn{Event: ev}, ev)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.handler.replies.notice(t.Context(), ev, m, reply); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.paths) != 2 || s.paths[0] != s.paths[1] {
		t.Errorf("sent to %q, want the same twice", s.paths)
	}
}

func TestMutedBotGoesOn(t *testing.T) {
	b, s := newChat(t)
	s.status = http.StatusForbidden
	ev := receive(t, b, "!ping")
	b.handle(t, ev)
	if after, err := b.store.Received(t.Context(), ev.Event); err != nil || !after.Handled {
		t.Errorf("%+v %v: it would be sent for ever", after, err)
	}
}

func TestUnansweredEventStaysInTheInbox(t *testing.T) {
	b, s := newChat(t)
	s.status = http.StatusBadGateway
	ev := receive(t, b, "!ping")
	if again := b.handle(t, ev); again.IsZero() {
		t.Error("not handled again")
	}
	if waiting, err := b.store.WaitingAfter(t.Context(), 0, 10000); err != nil || len(waiting) != 1 {
		t.Errorf("%v %v waits, want the event", waiting, err)
	}
}

// put puts n commands of a user into the inbox, in the rooms given in turn.
func put(t *testing.T, b *fixture, who id.UserID, n int, rooms ...id.RoomID) []invites.Received {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"content": map[string]any{"msgtype": "m.text", "body": "!ping"}})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]invites.Received, n)
	for i := range list {
		list[i] = invites.Received{
			Event: id.EventID(fmt.Sprint("$", who, rooms[0], i)), Room: rooms[i%len(rooms)], Sender: who, Type: "m.room.message", Raw: raw,
			SentAt: time.Now(), ReceivedAt: time.Now(),
		}
	}
	fresh, err := b.store.Receive(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}
