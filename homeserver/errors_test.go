package homeserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

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
			} else if code == "{}" {
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
