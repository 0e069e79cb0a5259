package homeserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func TestFetchFails(t *testing.T) {
	s := new(stub)
	s.inRoom()
	st := NewState(s.client(t, time.Minute), StateOptions{})
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"server error":   {500, `{}`},
		"another event":  {200, stateEvent("m.room.name", "", "@a:x", `{}`)},
		"another key":    {200, stateEvent("m.room.power_levels", "x", "@a:x", `{}`)},
		"content only":   {200, `{"users":{}}`},
		"not JSON":       {200, `{`},
		"proxy's 404":    {404, `nope`},
		"no state_key":   {200, `{"type":"m.room.power_levels","sender":"@a:x","content":{}}`},
		"folded content": {200, `{"type":"m.room.power_levels","state_key":"","sender":"@a:x","Content":{}}`},
	} {
		s.set(stateRequest("m.room.power_levels", ""), c.status, c.body)
		_, err := st.Snapshot(t.Context(), "!r", "", []room.Key{power}, false)
		var act *invites.ActError
		if !errors.As(err, &act) || act.Class != invites.ClassFailed {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s.state("m.room.power_levels", "", "@a:x", `{}`)
	look(t, st, power)
}

// TestSnapshotOfMany asks for a room's list where many members are wanted, and for each where it can't be had.
func TestSnapshotOfMany(t *testing.T) {
	needs := []room.Key{power}
	for i := range manyMembers {
		needs = append(needs, room.MemberKey(id.UserID(fmt.Sprintf("@m%d:x", i))))
	}
	const path = "GET /v3/rooms/!r/members"
	event := func(key, content string) string { return stateEvent("m.room.member", key, "@a:x", content) }
	list := event("@m1:x", `{"membership":"ban"}`) + "," + event("@else:x", `{"membership":"join"}`)
	for name, tt := range map[string]struct {
		status   int
		body     string
		requests int
		want     string
	}{
		"at once":   {200, `{"chunk":[` + list + `]}`, 1 + 3, `{"membership":"ban"}`}, // the list, create, power levels, the bot
		"not there": {404, `{"errcode":"M_UNRECOGNIZED"}`, 1 + 3 + manyMembers, `{"membership":"join"}`},
		"no list":   {200, `{}`, 1 + 3 + manyMembers, `{"membership":"join"}`},
		"malformed": {200, `{"chunk":[{"type":"m.room.member","state_key":"@m1:x"}]}`, 1 + 3 + manyMembers, `{"membership":"join"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stub)
			s.inRoom()
			s.state("m.room.member", "@m1:x", "@a:x", `{"membership":"join"}`)
			s.set(path, tt.status, tt.body)
			st := NewState(s.client(t, time.Minute), StateOptions{})
			look(t, st, room.MemberKey("@usher:x")) // the first decision
			snap := look(t, st, needs...)
			if got := len(s.requests()); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
			if got := content(t, snap, room.MemberKey("@m1:x")); got != tt.want {
				t.Errorf("@m1:x has %s", got)
			}
			if got := content(t, snap, room.MemberKey("@m2:x")); got != "absent" {
				t.Errorf("@m2:x has %s", got)
			}
			if again := look(t, st, needs...); again != snap {
				t.Error("not kept")
			}
		})
	}
}

// TestFetchGivesUp: where the homeserver is down or refuses, it is not asked for everybody all the same.
func TestFetchGivesUp(t *testing.T) {
	var needs []room.Key
	for i := range 3 * manyMembers {
		needs = append(needs, room.MemberKey(id.UserID(fmt.Sprintf("@m%d:x", i))))
	}
	is := func(class invites.Class) func(error) bool {
		return func(err error) bool {
			var act *invites.ActError
			return errors.As(err, &act) && act.Class == class
		}
	}
	for status, want := range map[int]func(error) bool{
		http.StatusServiceUnavailable: is(invites.ClassFailed),
		http.StatusTooManyRequests:    is(invites.ClassLater),
		0:                             is(invites.ClassFailed), // no answer
		http.StatusForbidden:          is(invites.ClassFailed), // the bot's own membership says that it is in the room
	} {
		s := new(stub)
		s.inRoom()
		st := NewState(s.client(t, time.Minute), StateOptions{})
		look(t, st, room.MemberKey("@usher:x")) // the first decision
		s.set("GET /v3/rooms/!r/members", status, `{"errcode":"M_FORBIDDEN"}`)
		for _, k := range needs {
			s.set(stateRequest(room.TypeMember, k.StateKey), status, `{"errcode":"M_FORBIDDEN"}`)
		}
		s.requests()
		if _, err := st.Snapshot(t.Context(), "!r", "", needs, false); !want(err) {
			t.Errorf("%d: got %v", status, err)
		}
		if got := len(s.requests()); got > 1+2*fetchers {
			t.Errorf("%d: asked %d times", status, got)
		}
	}
}

// TestUnreadableStateIsMalformed: state that can't be read is an answer, and a denial, not a reason to ask again.
func TestUnreadableStateIsMalformed(t *testing.T) {
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	for name, c := range map[string]struct {
		content   string
		malformed bool
	}{
		"deep":              {content: `{"users":{"@a:x":100},"x":` + deep + `}`},
		"a key twice":       {content: `{"users":{"@a:x":100},"users":{}}`, malformed: true},
		"no object":         {content: `"none"`, malformed: true},
		"bad UTF-8":         {content: "{\"users\":{\"@a:x\":100},\"x\":\"\xff\"}", malformed: true},
		"the content twice": {content: `{"users":{"@a:x":100}},"content":{}`, malformed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stub{}
			s.inRoom()
			s.state("m.room.member", "@a:x", "@a:x", `{"membership":"join"}`)
			s.state("m.room.power_levels", "", "@a:x", c.content)
			state := NewState(s.client(t, time.Minute), StateOptions{})
			snap, err := state.Snapshot(t.Context(), "!r", "", []room.Key{{Type: room.TypePowerLevels}, room.MemberKey("@a:x"), createKey}, false)
			if err != nil {
				t.Fatal(err)
			}
			if event, known := snap.Event(room.Key{Type: room.TypePowerLevels}); event == nil || !known {
				t.Fatalf("event %v, known %t", event, known)
			}
			power, known := snap.Power("@a:x")
			if known == c.malformed || known && power != 100 {
				t.Errorf("power %d, known %t", power, known)
			}
			if may := snap.CanSend("@a:x", "m.room.topic", true); c.malformed && may.Verdict != room.Deny {
				t.Errorf("%+v", may)
			}
		})
	}
}

// TestRedactedStateNamesItsRedactor: the homeserver says who redacted a piece of state.
func TestRedactedStateNamesItsRedactor(t *testing.T) {
	key := room.Key{Type: "m.x"}
	for raw, want := range map[string]id.UserID{
		`{"type":"m.x","state_key":"","sender":"@a:x","content":{}}`:                                                              "",
		`{"type":"m.x","state_key":"","sender":"@a:x","content":{},"unsigned":{"redacted_because":{"sender":"@b:x"}}}`:            "@b:x",
		`{"type":"m.x","state_key":"","sender":"@a:x","content":{"redacted_because":{"sender":"@b:x"}},"unsigned":{"age":1}}`:     "",
		`{"type":"m.x","state_key":"","sender":"@a:x","content":{},"unsigned":{"redacted_because":{"sender":5,"ſender":"@b:x"}}}`: "",
	} {
		if e, err := parseEvent([]byte(raw), key); err != nil || e.RedactedBy != want {
			t.Errorf("%s: %+v, %v", raw, e, err)
		}
	}
}

// TestRedactionOfOwnState: where the homeserver's answer about state of Usher's own says nothing of a redaction, its event does. One that is empty, or not
// shown, is taken as it is; trouble is an error.
func TestRedactionOfOwnState(t *testing.T) {
	const plain = `{"type":"chat.usher.policy","state_key":"","sender":"@a:x","event_id":"$p","content":%s}`
	for name, c := range map[string]struct {
		content string
		status  int
		event   string
		want    id.UserID
		fails   bool
	}{
		"redacted":  {`{}`, 200, `{"type":"chat.usher.policy","state_key":"","sender":"@a:x","event_id":"$p","content":{},"unsigned":{"redacted_because":{"sender":"@b:x"}}}`, "@b:x", false},
		"empty":     {`{}`, 200, fmt.Sprintf(plain, `{}`), "", false},
		"not shown": {`{}`, 404, `{"errcode":"M_NOT_FOUND"}`, "", false},
		"trouble":   {`{}`, 502, `{}`, "", true},
		"not empty": {`{"version":1}`, 502, `{}`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stub)
			s.inRoom()
			s.set(stateRequest("chat.usher.policy", ""), 200, fmt.Sprintf(plain, c.content))
			s.set("GET /v3/rooms/!r/event/$p", c.status, c.event)
			state, key := NewState(s.client(t, time.Minute), StateOptions{}), room.Key{Type: "chat.usher.policy"}
			snap, err := state.Snapshot(t.Context(), "!r", "", []room.Key{key}, false)
			if (err != nil) != c.fails {
				t.Fatal(err)
			} else if err != nil {
				return
			}
			if e, _ := snap.Event(key); e == nil || e.RedactedBy != c.want {
				t.Errorf("%+v, want %q", e, c.want)
			}
		})
	}
}
