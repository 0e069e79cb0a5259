// Package stub is a homeserver that does as it is told: fast, scriptable, with the little that Usher needs of the client-server
// API. It serves the tests of faults and crashes, and benchmarks; what homeservers really do is tested on real ones.
package stub

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"usher/e2e/fault"
)

// Server is a stub homeserver. Everybody whom Room names is in its rooms; all local users exist.
type Server struct {
	URL    string
	Domain string

	server *http.Server
	mux    *http.ServeMux
	script fault.Script
	push   pusher

	mu       sync.Mutex
	bot      string            // bot's user id
	tokens   map[string]string // as_token → "bot" or "puppet"
	rooms    map[string]*room
	sent     map[string]string // transaction ids of what was sent → event id
	account  map[string]json.RawMessage
	serial   int
	again    []string // invitations asked for once more after they had taken effect
	requests int
	changed  chan struct{} // closed and replaced when something happens
}

// room is one room's state and timeline.
type room struct {
	state  map[string]Event // type + "\x00" + state key
	events map[string]Event
	order  []string
}

// Event is an event as clients see it.
type Event struct {
	ID       string          `json:"event_id"`
	Room     string          `json:"room_id"`
	Type     string          `json:"type"`
	Sender   string          `json:"sender"`
	StateKey *string         `json:"state_key,omitempty"`
	At       int64           `json:"origin_server_ts"`
	Content  json.RawMessage `json:"content"`
	Unsigned json.RawMessage `json:"unsigned,omitempty"`
}

// Start starts a stub for a server name. It answers nobody until Register.
func Start(domain string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), Domain: domain, tokens: map[string]string{}, rooms: map[string]*room{},
		sent: map[string]string{}, account: map[string]json.RawMessage{}, changed: make(chan struct{}),
	}
	s.mux = s.routes()
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

// Close ends it.
func (s *Server) Close() error {
	s.push.stop()
	return s.server.Close()
}

// Register takes the registrations that Usher wrote: the bot's, and that for acting as others.
func (s *Server) Register(registrations [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range registrations {
		var r struct {
			URL     *string `yaml:"url"`
			ASToken string  `yaml:"as_token"`
			HSToken string  `yaml:"hs_token"`
		}
		if err := yaml.Unmarshal(text, &r); err != nil {
			return err
		}
		if r.URL == nil {
			s.tokens[r.ASToken] = "puppet"
			continue
		}
		s.tokens[r.ASToken] = "bot"
		s.push.to(*r.URL, r.HSToken)
	}
	s.bot = "@usher:" + s.Domain
	return nil
}

// Room makes a room of version 11 with its creator, the bot and others in it.
func (s *Server) Room(name, creator string, others ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := "!" + name + ":" + s.Domain
	s.rooms[id] = &room{state: map[string]Event{}, events: map[string]Event{}}
	s.set(id, "m.room.create", "", creator, map[string]any{"room_version": "11"})
	s.set(id, "m.room.power_levels", "", creator, map[string]any{"users": map[string]int{creator: 100, s.bot: 50}, "invite": 0})
	s.set(id, "m.room.join_rules", "", creator, map[string]any{"join_rule": "invite"})
	for _, user := range append([]string{creator, s.bot}, others...) {
		s.set(id, "m.room.member", user, user, map[string]any{"membership": "join"})
	}
	return id
}

// Say has a user say something in a room: it is pushed to Usher. It returns the event's id.
func (s *Server) Say(in, sender, text string) string {
	s.mu.Lock()
	e := s.add(in, "m.room.message", nil, sender, map[string]any{"msgtype": "m.text", "body": text})
	s.mu.Unlock()
	s.push.events(e)
	return e.ID
}

// React has a user react to an event: it is pushed to Usher.
func (s *Server) React(in, sender, event, key string) {
	s.mu.Lock()
	e := s.add(in, "m.reaction", nil, sender, map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": event, "key": key}})
	s.mu.Unlock()
	s.push.events(e)
}

// Set puts a state event into a room behind Usher's back, or pushed to it.
func (s *Server) Set(in, kind, key, sender string, content any, pushed bool) {
	s.mu.Lock()
	e := s.set(in, kind, key, sender, content)
	s.mu.Unlock()
	if pushed {
		s.push.events(e)
	}
}

// set puts a state event into a room. s.mu is held.
func (s *Server) set(in, kind, key, sender string, content any) Event {
	e := s.add(in, kind, &key, sender, content)
	s.rooms[in].state[kind+"\x00"+key] = e
	return e
}

// add makes an event. s.mu is held.
func (s *Server) add(in, kind string, key *string, sender string, content any) Event {
	raw, ok := content.(json.RawMessage)
	if !ok {
		raw, _ = json.Marshal(content)
	}
	s.serial++
	e := Event{
		ID: fmt.Sprintf("$%d-%s", s.serial, strings.TrimPrefix(kind, "m.")), Room: in, Type: kind, Sender: sender, StateKey: key,
		At: time.Now().UnixMilli(), Content: raw,
	}
	r := s.rooms[in]
	r.events[e.ID] = e
	r.order = append(r.order, e.ID)
	s.note()
	return e
}

// note wakes those who wait. s.mu is held.
func (s *Server) note() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Events returns what was sent to a room that matches, in order.
func (s *Server) Events(in string, match func(Event) bool) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Event
	r := s.rooms[in]
	for _, id := range r.order {
		if match(r.events[id]) {
			found = append(found, r.events[id])
		}
	}
	return found
}

// Membership returns a user's membership, and who sent it.
func (s *Server) Membership(in, user string) (membership, sender string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membership(in, user)
}

func (s *Server) membership(in, user string) (membership, sender string) {
	r := s.rooms[in]
	if r == nil {
		return "", ""
	}
	e := r.state["m.room.member\x00"+user]
	var content struct {
		Membership string `json:"membership"`
	}
	_ = json.Unmarshal(e.Content, &content)
	return content.Membership, e.Sender
}

// SentAgain lists invitations that were asked for although they had taken effect.
func (s *Server) SentAgain() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again
}

// Requests counts the requests so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Changed returns a channel that is closed when something happens.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
