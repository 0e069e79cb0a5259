package homeserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// TestSpeakers: users among some come in the order of their last events, as the viewer sees the room. Trouble and long histories end the look.
func TestSpeakers(t *testing.T) {
	s := new(stub)
	said := func(users ...string) string {
		events := make([]string, len(users))
		for i, user := range users {
			events[i] = fmt.Sprintf(`{"type":"m.room.message","sender":%q}`, user)
		}
		return `{"chunk":[` + strings.Join(events, ",") + `],"end":"next"}`
	}
	s.set("GET /v3/rooms/!r/messages", 200, said("@b:x", "@usher:x", "@a:x", "@b:x"))
	s.set("GET /v3/rooms/!r/messages as @c:x", 200, said("@c:x", `@a:x`))
	state := NewState(s.client(t, 0), StateOptions{})
	among := []id.UserID{"@a:x", "@b:x", "@c:x"}
	for viewer, want := range map[id.UserID][]id.UserID{"@c:x": {"@c:x", "@a:x"}, "@d:elsewhere": {"@b:x", "@a:x"}} {
		s.requests()
		got, err := state.Speakers(t.Context(), "!r", viewer, among)
		if asked := s.requests(); err != nil || !slices.Equal(got, want) || len(asked) != 2 {
			t.Errorf("as %s: got %v %v, asked %q", viewer, got, err, asked)
		}
	}
	s.set("GET /v3/rooms/!r/messages", 500, `{}`)
	if got, err := state.Speakers(t.Context(), "!r", "", among); err != nil || len(got) != 0 {
		t.Errorf("in trouble: %v %v", got, err)
	}
}

// TestJoins: the dates of members are read where they can be.
func TestJoins(t *testing.T) {
	s := new(stub)
	member := func(user, membership string, at int) string {
		return fmt.Sprintf(`{"type":"m.room.member","state_key":%q,"sender":%q,"event_id":"$e","origin_server_ts":%d,"content":{"membership":%q}}`, user, user, at, membership)
	}
	s.set("GET /v3/rooms/!r/members", 200, `{"chunk":[`+member("@a:x", "join", 1000)+","+member("@b:x", "leave", 2000)+`]}`)
	state := NewState(s.client(t, 0), StateOptions{})
	got, err := state.Joins(t.Context(), "!r")
	if err != nil || len(got) != 1 || !got["@a:x"].Equal(time.UnixMilli(1000)) {
		t.Errorf("%v %v", got, err)
	}
	s.set("GET /v3/rooms/!r/members", 403, `{"errcode":"M_FORBIDDEN"}`)
	if got, err := state.Joins(t.Context(), "!r"); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}
