package homeserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// requestsOf makes the requests that the table of answers names, and says what each asks of the homeserver.
var requestsOf = map[string]struct {
	path string
	ask  func(context.Context, *State) error
}{
	"invite":                 {"POST /v3/rooms/!r/invite", acting(room.Invite, "@b:y")},
	"invite of a local user": {"POST /v3/rooms/!r/invite", acting(room.Invite, "@b:x")},
	"leave":                  {"POST /v3/rooms/!r/leave", acting(room.Leave, "@usher:x")},
	"join": {"POST /v3/join/!r", func(ctx context.Context, s *State) error {
		_, err := s.Join(ctx, "!r", []string{"y"}, "", "")
		return err
	}},
	"alias": {"GET /v3/directory/room/#a:y", func(ctx context.Context, s *State) error {
		_, _, err := s.Resolve(ctx, "#a:y")
		return err
	}},
	"send": {"PUT /v3/rooms/!r/send/m.room.message/t", func(ctx context.Context, s *State) error {
		_, err := s.client.Send(ctx, "!r", "t", "m.room.message", map[string]string{})
		return err
	}},
	"policy": {"PUT /v3/rooms/!r/state/chat.usher.policy/", func(ctx context.Context, s *State) error {
		_, err := s.SendState(ctx, "!r", "", room.Key{Type: "chat.usher.policy"}, []byte(`{}`))
		return err
	}},
	"members": {"GET /v3/rooms/!r/members", func(ctx context.Context, s *State) error {
		_, err := s.client.InvitedMembers(ctx, "!r", time.Now())
		return err
	}},
	"history": {"GET /v3/rooms/!r/messages", func(ctx context.Context, s *State) error {
		_, err := s.History(ctx, "!r", "", power, 9)
		return err
	}},
	"votes": {"GET /v1/rooms/!r/relations/$e/m.annotation", func(ctx context.Context, s *State) error {
		_, err := s.client.Annotations(ctx, "!r", "$e")
		return err
	}},
	"event": {"GET /v3/rooms/!r/event/$e", func(ctx context.Context, s *State) error {
		_, err := s.Redacted(ctx, "!r", "", "$e")
		return err
	}},
	"rooms": {"GET /v3/joined_rooms", func(ctx context.Context, s *State) error {
		_, err := s.client.JoinedRooms(ctx)
		return err
	}},
	"read": {stateRequest("m.room.power_levels", ""), func(ctx context.Context, s *State) error {
		snap, err := s.Snapshot(ctx, "!r", "", []room.Key{power}, true)
		if err != nil {
			return err
		}
		if event, _ := snap.Event(power); event == nil {
			return errAbsent
		}
		return nil
	}},
}

var errAbsent = errors.New("absent")

func acting(action room.ActionType, target string) func(context.Context, *State) error {
	return func(ctx context.Context, s *State) error {
		return s.Act(ctx, invites.Effect{Action: action, Room: "!r", Performer: "@usher:x", Target: id.UserID(target)})
	}
}

// meaning is the table's word for an error.
func meaning(err error) string {
	switch {
	case errors.Is(err, errAbsent):
		return "absent"
	case errors.Is(err, invites.ErrNoView):
		return "outside"
	case invites.Refused(err):
		return "verdict"
	case invites.Stopped(err):
		return "token"
	case invites.IsClass(err, invites.ClassLater):
		return "wait"
	case invites.Unreachable(err) == "y":
		return "server"
	case err == nil:
		return "done"
	case invites.IsClass(err, invites.ClassFailed) && invites.Unreachable(err) == "":
		return "passes"
	}
	return fmt.Sprint("unclear: ", err)
}

var answerRow = regexp.MustCompile("(?m)^\\| (?:`(\\d+) ([^`]+)`(?: \"(.*)\")?|(cut|silence))( once)? \\| ([^|]+) \\| (\\w+) \\|$")

// TestWhatAnAnswerMeans plays each row of the table of answers in docs/reliability.md.
func TestWhatAnAnswerMeans(t *testing.T) {
	doc, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "### What an answer means")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := answerRow.FindAllStringSubmatch(section, -1)
	if lines := strings.Count(section, "\n| ") - 2; len(rows) != lines || lines < 40 { // without the head
		t.Fatalf("%d of %d rows can be read", len(rows), lines)
	}
	for _, row := range rows {
		t.Run(strings.Trim(row[0], "| "), func(t *testing.T) {
			status, code, text, want := 0, row[2], row[3], row[7]
			_, _ = fmt.Sscan(row[1], &status)
			body := fmt.Sprintf(`{"errcode":%q,"error":%q}`, code, text)
			if code == "HTML" {
				body = "<html>"
			} else if strings.HasPrefix(code, "{") || code == "null" || code == "[]" {
				body = code
			}
			request, known := requestsOf[row[6]]
			if !known {
				t.Fatal("an unknown request")
			}
			s := new(stub)
			s.inRoom()
			s.set(request.path, status, body)
			timeout := time.Minute
			if row[4] == "silence" {
				s.hold, s.holding = make(chan struct{}), make(chan string, 9)
				defer close(s.hold)
				timeout = 30 * time.Millisecond
			}
			if want == "outside" {
				s.set(stateRequest(room.TypeMember, "@usher:x"), status, body)
			}
			if got := meaning(request.ask(t.Context(), NewState(s.client(t, timeout), StateOptions{}))); got != want {
				t.Errorf("taken for: %s", got)
			}
		})
	}
}

// TestRefusedReadIsNotHeld asks again ten seconds after the homeserver refused to show a room.
func TestRefusedReadIsNotHeld(t *testing.T) {
	s, now := new(stub), time.UnixMilli(0)
	s.inRoom()
	st := NewState(s.client(t, time.Minute), StateOptions{Now: func() time.Time { return now }})
	s.set(stateRequest(room.TypeMember, "@usher:x"), 403, `{"errcode":"M_FORBIDDEN"}`)
	if _, err := st.Snapshot(t.Context(), "!r", "", nil, false); !errors.Is(err, invites.ErrNoView) {
		t.Fatal(err)
	}
	s.inRoom()
	now = now.Add(outsideTTL + time.Millisecond)
	look(t, st)
}

// TestOddBodies: no answer that a proxy may make up is a verdict, or a success, and none takes longer than the time for a request.
func TestOddBodies(t *testing.T) {
	write := func(w http.ResponseWriter, text string) { _, _ = io.WriteString(w, text) }
	odd := map[string]func(w http.ResponseWriter){
		"nothing":           func(http.ResponseWriter) {},
		"a plain page":      func(w http.ResponseWriter) { write(w, "Zugriff verweigert") },
		"a page in Latin-1": func(w http.ResponseWriter) { write(w, "<html>Acc\xe8s refus\xe9, M_FORBIDDEN") },
		"other JSON":        func(w http.ResponseWriter) { write(w, `{"error":"forbidden","code":403}`) },
		"a number for code": func(w http.ResponseWriter) { write(w, `{"errcode":403}`) },
		"an empty code":     func(w http.ResponseWriter) { write(w, `{"errcode":""}`) },
		"a folded key":      func(w http.ResponseWriter) { write(w, `{"ERRCODE":"M_FORBIDDEN","error":"no"}`) },
		"JSON and more":     func(w http.ResponseWriter) { write(w, `{"errcode":"M_FORBIDDEN"}<!-- proxy -->`) },
		"a list":            func(w http.ResponseWriter) { write(w, `[{"errcode":"M_FORBIDDEN"}]`) },
		"half JSON":         func(w http.ResponseWriter) { write(w, `{"errcode":"M_FORBIDDEN"`) },
		"gzip": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			write(w, "\x1f\x8b\x08garbage")
		},
		"cut": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			write(w, `{"errcode":`)
		},
		"endless": func(w http.ResponseWriter) {
			for part := strings.Repeat("x", 1<<20); ; {
				if _, err := io.WriteString(w, part); err != nil {
					return
				}
			}
		},
		"slow": func(w http.ResponseWriter) {
			for range 40 {
				write(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
			write(w, `{"errcode":"M_FORBIDDEN"}`)
		},
	}
	objects := map[string]bool{"other JSON": true, "a number for code": true, "an empty code": true, "a folded key": true}
	type answer struct {
		status int
		body   func(http.ResponseWriter)
	}
	var now atomic.Pointer[answer] // a server may be at an answer that its client has given up
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := now.Load()
		if a.status < 400 && a.status >= 300 {
			w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
		}
		odd := &lateStatus{ResponseWriter: w, status: a.status}
		a.body(odd)
		odd.begin()
	}))
	defer server.Close()
	c, err := NewClient(ClientOptions{
		Homeserver: server.URL, Domain: "x", Bot: "@usher:x", Token: botToken, PuppetToken: puppetToken, Timeout: time.Second, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, write := range odd {
		for _, status := range []int{200, 201, 204, 301, 307, 400, 401, 403, 404, 405, 410, 451, 500, 502, 503, 511} {
			if name == "slow" {
				c.timeout = 50 * time.Millisecond
			}
			now.Store(&answer{status, write})
			for what, request := range requestsOf {
				if (name == "slow" || name == "endless") && what != "send" && what != "read" {
					continue
				}
				want := "passes"
				if status == 500 && objects[name] && (what == "invite" || what == "join" || what == "alias") {
					want = "server" // Dendrite says so
				}
				if got := meaning(request.ask(t.Context(), NewState(c, StateOptions{}))); got != want {
					t.Errorf("%d with %s to %s is taken for: %s", status, name, what, got)
				}
			}
			c.timeout = time.Second
		}
	}
}

// lateStatus sends the status with the first byte of the body.
type lateStatus struct {
	http.ResponseWriter
	status int
	begun  bool
}

func (w *lateStatus) begin() {
	if !w.begun {
		w.begun = true
		w.WriteHeader(w.status)
	}
}

func (w *lateStatus) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

func (w *lateStatus) Unwrap() http.ResponseWriter { return w.ResponseWriter }
