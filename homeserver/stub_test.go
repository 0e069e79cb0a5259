package homeserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// stub is a homeserver for faults: it answers from a table, and what is not there with 404 M_NOT_FOUND.
type stub struct {
	mu      sync.Mutex
	answers map[string]answer
	asked   []string      // "METHOD path user body", in order
	hold    chan struct{} // if not nil, each answer waits for it, once read
	holding chan string   // tells what waits
}

type answer struct {
	status int
	body   string
	header http.Header
}

const botToken, puppetToken = "bot-secret", "puppet-secret"

func (s *stub) set(request string, status int, body string) { s.setHeader(request, status, body, nil) }

func (s *stub) setHeader(request string, status int, body string, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = make(map[string]answer)
	}
	s.answers[request] = answer{status, body, header}
}

// state sets a state event of the room !r.
func (s *stub) state(typ, key, sender, content string) {
	s.set(stateRequest(typ, key), http.StatusOK, stateEvent(typ, key, sender, content))
}

func stateRequest(typ, key string) string {
	return "GET /v3/rooms/!r/state/" + typ + "/" + key
}

func stateEvent(typ, key, sender, content string) string {
	return fmt.Sprintf(`{"type":%q,"state_key":%q,"sender":%q,"event_id":"$%s%s","room_id":"!r","content":%s}`, typ, key, sender, typ, key, content)
}

// inRoom makes the bot a member of !r.
func (s *stub) inRoom() {
	s.state("m.room.create", "", "@a:x", `{"room_version":"11"}`)
	s.state("m.room.member", "@usher:x", "@usher:x", `{"membership":"join"}`)
}

func (s *stub) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user_id")
	if strings.HasSuffix(r.URL.Path, "/ping") && user == "" { // by the registration's sender, who is another user
		user = "@usher:x"
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	key := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_matrix/client")
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	found, ok := s.answers[key+" as "+user]
	if !ok {
		found, ok = s.answers[key]
	}
	s.asked = append(s.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", key, user, body)))
	hold, holding := s.hold, s.holding
	s.mu.Unlock()
	if hold != nil {
		holding <- key
		<-hold
	}
	switch {
	case key == "GET /versions" && token+user == "": // anybody may ask
	case (user == "@usher:x") != (token == botToken) || (user != "@usher:x") != (token == puppetToken):
		found = answer{401, `{"errcode":"M_UNKNOWN_TOKEN","error":"wrong token for the user"}`, nil}
	case !ok:
		found = answer{404, `{"errcode":"M_NOT_FOUND","error":"nothing here"}`, nil}
	}
	if found.status == 0 {
		panic(http.ErrAbortHandler) // cut the connection
	}
	for name, values := range found.header {
		w.Header()[name] = values
	}
	w.WriteHeader(found.status)
	_, _ = io.WriteString(w, found.body)
}

// client starts the stub and returns a client of it.
func (s *stub) client(t *testing.T, timeout time.Duration) *Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := NewClient(ClientOptions{
		Homeserver: server.URL, Domain: "x", Bot: "@usher:x", Token: botToken, PuppetToken: puppetToken, Timeout: timeout, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
