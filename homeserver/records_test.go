package homeserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

const listRule = "m.policy.rule.user"

// collect calls Collect and words what came.
func collect(t *testing.T, s *State, have bool) string {
	t.Helper()
	changes, whole, err := s.Collect(t.Context(), "!r", []string{listRule}, have)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{fmt.Sprint(whole)}
	for _, c := range changes {
		content := "gone"
		if c.Event != nil {
			content = string(c.Event.Content)
		}
		words = append(words, c.Key.StateKey+"="+content)
	}
	slices.Sort(words[1:])
	return strings.Join(words, " ")
}

func TestCollect(t *testing.T) {
	s := new(stub)
	s.inRoom()
	s.set("GET /v3/rooms/!r/state", 200, "["+strings.Join([]string{
		stateEvent("m.room.create", "", "@a:x", `{}`), stateEvent(listRule, "1", "@a:x", `{"n":1}`), `{"nonsense":1}`, stateEvent(listRule, "2", "@a:x", `{"n":2}`),
	}, ",")+"]")
	state := NewState(s.client(t, 0), StateOptions{})
	if got := collect(t, state, false); got != `true 1={"n":1} 2={"n":2}` {
		t.Errorf("at first: %s", got)
	}
	s.requests()
	if got := collect(t, state, true); got != "false" || len(s.requests()) != 0 {
		t.Errorf("nothing changed: %s", got)
	}
	s.state(listRule, "2", "@a:x", `{"n":3}`)
	state.Changed("!r", room.Key{Type: listRule, StateKey: "1"})
	state.Changed("!r", room.Key{Type: listRule, StateKey: "2"})
	state.Changed("!r", room.Key{Type: "m.room.topic"})
	state.Changed("!other", room.Key{Type: listRule, StateKey: "9"})
	if got := collect(t, state, true); got != `false 1=gone 2={"n":3}` {
		t.Errorf("one gone, one changed: %s", got)
	}
	if got := collect(t, state, false); !strings.HasPrefix(got, "true ") {
		t.Errorf("somebody who has nothing: %s", got)
	}
	for n := range maxDirty + 1 {
		state.Changed("!r", room.Key{Type: listRule, StateKey: fmt.Sprint(n)})
	}
	if got := collect(t, state, true); !strings.HasPrefix(got, "true ") {
		t.Errorf("much changed: %s", got)
	}

	// A change that can't be fetched is not lost.
	s.set(stateRequest(listRule, "1"), 500, `{}`)
	state.Changed("!r", room.Key{Type: listRule, StateKey: "1"})
	if _, _, err := state.Collect(t.Context(), "!r", []string{listRule}, true); err == nil {
		t.Error("no error")
	}
	if got := collect(t, state, true); !strings.HasPrefix(got, "true ") {
		t.Errorf("after an error: %s", got)
	}

	s.state("m.room.member", "@usher:x", "@usher:x", `{"membership":"leave"}`)
	state.Changed("!r", room.MemberKey("@usher:x"))
	if _, _, err := state.Collect(t.Context(), "!r", []string{listRule}, true); !errors.Is(err, invites.ErrNoView) {
		t.Errorf("after leaving: %v", err)
	}
}

// TestCollectAfterRedactions: the redaction of an event that was handed out has all read again; those of other events, which anybody may send, cost nothing.
func TestCollectAfterRedactions(t *testing.T) {
	s := new(stub)
	s.inRoom()
	with := func(n string) string {
		return `[{"type":"` + listRule + `","state_key":"` + n + `","sender":"@a:x","event_id":"$rule` + n + `","content":{"n":` + n + `}}]`
	}
	s.set("GET /v3/rooms/!r/state", 200, with("1"))
	state := NewState(s.client(t, 0), StateOptions{})
	collect(t, state, false)
	s.requests()
	for range 10 {
		state.Forget("!r", "$words")
		if got := collect(t, state, true); got != "false" || slices.ContainsFunc(s.requests(), func(r string) bool { return strings.HasSuffix(r, "/state") }) {
			t.Fatalf("another event: %s", got)
		}
	}
	state.Forget("!r", "$rule1")
	if got := collect(t, state, true); got != `true 1={"n":1}` {
		t.Errorf("a rule: %s", got)
	}
}

func TestMemberCount(t *testing.T) {
	s := new(stub)
	members := func(n int) {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"@u%d:x":{"display_name":"U"}`, i))
		}
		s.set("GET /v3/rooms/!r/joined_members", 200, `{"joined":{`+strings.Join(list, ",")+`}}`)
	}
	state := NewState(s.client(t, 0), StateOptions{})
	for i, step := range []struct {
		members, changes int
		enough           int64
		below            bool // what it says is below enough
		asks             int
	}{
		{members: 3, enough: 5, below: true, asks: 1},
		{members: 4, changes: 1, enough: 5, below: true, asks: 0},
		{members: 5, changes: 1, enough: 5, below: false, asks: 1},
		{members: 5, enough: 5, below: false, asks: 0},
		{members: 4, changes: 1, enough: 5, below: true, asks: 1},
	} {
		members(step.members)
		for range step.changes {
			state.Changed("!r", room.MemberKey("@new:x"))
		}
		s.requests()
		n, err := state.MemberCount(t.Context(), "!r", "", step.enough)
		if err != nil || (n < step.enough) != step.below || len(s.requests()) != step.asks {
			t.Errorf("step %d: got %d %v", i, n, err)
		}
	}
}

// TestMemberCountMeetsAnother: who asks while another one's count is under way is not told what that has not found yet.
func TestMemberCountMeetsAnother(t *testing.T) {
	s := &stub{hold: make(chan struct{}), holding: make(chan string, 9)}
	s.set("GET /v3/rooms/!r/joined_members", 200, `{"joined":{"@a:x":{},"@b:x":{},"@c:x":{}}}`)
	state := NewState(s.client(t, time.Minute), StateOptions{})
	counted := make(chan int64, 2)
	for range 2 {
		go func() {
			n, err := state.MemberCount(t.Context(), "!r", "", 3)
			if err != nil {
				t.Error(err)
			}
			counted <- n
		}()
		select {
		case <-s.holding:
		case n := <-counted:
			t.Errorf("told %d before anybody has counted", n)
		}
	}
	state.Changed("!r", room.MemberKey("@d:x")) // may or may not be in what is being counted
	close(s.hold)
	for range 2 {
		if n := <-counted; n != 3 {
			t.Errorf("counted %d", n)
		}
	}
	if n, err := state.MemberCount(t.Context(), "!r", "", 5); err != nil || n != 4 || len(s.requests()) != 2 {
		t.Errorf("it says %d, %v", n, err)
	}
}

// TestCollectionIsBounded: what changes in a list while nobody asks takes no more memory than is of use.
func TestCollectionIsBounded(t *testing.T) {
	s := new(stub)
	s.inRoom()
	s.set("GET /v3/rooms/!r/state", 200, `[]`)
	state := NewState(s.client(t, 0), StateOptions{})
	collect(t, state, false)
	for i := range 10 * maxDirty {
		state.Changed("!r", room.Key{Type: listRule, StateKey: fmt.Sprint(i)})
	}
	if n := len(state.collections.rooms["!r"].dirty); n > maxDirty+1 {
		t.Errorf("%d changes are kept", n)
	}
	if got := collect(t, state, true); got != "true" {
		t.Errorf("got %s", got)
	}
}

func TestStateEventAndHistory(t *testing.T) {
	s := new(stub)
	event := func(n int, more string) string {
		return fmt.Sprintf(`{"type":"chat.usher.policy","state_key":"","sender":"@a:x","event_id":"$%d","origin_server_ts":%d,"content":{"n":%d}%s}`, n, n*1000, n, more)
	}
	s.set("GET /v3/rooms/!r/event/$2 as @b:x", 200, event(2, `,"unsigned":{"prev_content":{"n":1},"replaces_state":"$1"}`))
	s.set("GET /v3/rooms/!r/event/$2", 403, `{"errcode":"M_FORBIDDEN","error":"no"}`)
	state := NewState(s.client(t, 0), StateOptions{})
	e, err := state.StateEvent(t.Context(), "!r", "@b:x", "$2")
	if err != nil || e.Sender != "@a:x" || string(e.Before) != `{"n":1}` || e.Replaces != "$1" || !e.SentAt.Equal(time.UnixMilli(2000)) {
		t.Errorf("got %+v %v", e, err)
	}
	if _, err := state.StateEvent(t.Context(), "!r", "@b:elsewhere", "$2"); err == nil {
		t.Error("read as somebody who can't be asserted")
	}
	s.set("GET /v3/rooms/!r/event/$m", 200, `{"type":"m.room.message","sender":"@a:x","content":{}}`)
	if _, err := state.StateEvent(t.Context(), "!r", "", "$m"); err == nil {
		t.Error("a message is no state")
	}

	other := strings.Replace(event(9, ""), `"state_key":""`, `"state_key":"x"`, 1)
	s.set("GET /v3/rooms/!r/messages", 200, `{"chunk":[`+event(3, "")+`,`+other+`,`+event(2, "")+`,{"type":"m.room.message"}],"end":"next"}`)
	list, err := state.History(t.Context(), "!r", "", room.Key{Type: "chat.usher.policy"}, 2)
	if err != nil || len(list) != 2 || list[0].ID != "$3" || list[1].ID != "$2" {
		t.Errorf("got %+v %v", list, err)
	}
}

func TestSendState(t *testing.T) {
	s := new(stub)
	s.inRoom()
	s.state("chat.usher.policy", "", "@a:x", `{"old":1}`)
	s.set("PUT /v3/rooms/!r/state/chat.usher.policy/", 200, `{"event_id":"$new"}`)
	state := NewState(s.client(t, 0), StateOptions{})
	k := room.Key{Type: "chat.usher.policy"}
	look(t, state, k)
	for _, as := range []id.UserID{"@usher:x", "@b:x"} {
		s.requests()
		sent, err := state.SendState(t.Context(), "!r", as, k, []byte(`{"version":1}`))
		want := "PUT /v3/rooms/!r/state/chat.usher.policy/ " + string(as) + ` {"version":1}`
		if asked := s.requests(); err != nil || sent != "$new" || !slices.Contains(asked, want) {
			t.Errorf("got %s %v, asked %q", sent, err, asked)
		}
	}
	s.state("chat.usher.policy", "", "@a:x", `{"new":1}`)
	if got := content(t, look(t, state, k), k); got != `{"new":1}` {
		t.Errorf("what is sent is read anew: %s", got)
	}
	if _, err := state.SendState(t.Context(), "!r", "@b:elsewhere", k, []byte(`{}`)); err == nil {
		t.Error("sent as somebody who can't be asserted")
	}
}

// TestSpaces: which spaces a room is in is the room's own word. Nothing is kept of others.
func TestSpaces(t *testing.T) {
	s := new(stub)
	s.inRoom()
	s.set("GET /v3/rooms/!r/state", 200, "["+stateEvent("m.space.parent", "!s", "@a:x", `{"via":["x"]}`)+","+
		stateEvent("m.space.parent", "!gone", "@a:x", `{}`)+","+stateEvent("m.space.child", "!c", "@a:x", `{"via":["x"]}`)+"]")
	s.state("m.space.parent", "!s", "@a:x", `{"via":["x"]}`)
	s.state("m.space.parent", "!gone", "@a:x", `{"via":[]}`)
	state := NewState(s.client(t, time.Minute), StateOptions{})
	links, err := s.client(t, time.Minute).Parents(t.Context(), "!r")
	if want := []invites.SpaceChild{{Space: "!s", Child: "!r"}}; err != nil || !slices.Equal(links, want) {
		t.Errorf("got %v %v", links, err)
	}
	for space, want := range map[id.RoomID]bool{"!s": true, "!gone": false, "!stranger": false} {
		if names, err := state.Names(t.Context(), "!r", space); err != nil || names != want {
			t.Errorf("names %s: %t %v", space, names, err)
		}
	}
	if fresh := state.Link(append(links, links...)); len(fresh) != 1 || len(state.Link(links)) != 0 {
		t.Errorf("fresh: %v", fresh)
	}
	if got := state.Spaces("!r"); !slices.Equal(got, []id.RoomID{"!s"}) || state.Spaces("!none") != nil {
		t.Errorf("got %v", got)
	}
	state.Link([]invites.SpaceChild{{Space: "!t", Child: "!r"}})
	if state.Unlink("!r", "!s"); !slices.Equal(state.Spaces("!r"), []id.RoomID{"!t"}) {
		t.Errorf("got %v", state.Spaces("!r"))
	}
	if state.Unlink("!r", ""); state.Spaces("!r") != nil {
		t.Errorf("got %v", state.Spaces("!r"))
	}
	outside := new(stub)
	outside.set(stateRequest("m.room.create", ""), 403, `{"errcode":"M_FORBIDDEN"}`)
	outside.set(stateRequest("m.space.parent", "!s"), 403, `{"errcode":"M_FORBIDDEN"}`)
	if names, err := NewState(outside.client(t, 0), StateOptions{}).Names(t.Context(), "!r", "!s"); names || err != nil {
		t.Errorf("in a room without the bot: %t %v", names, err)
	}
}

func TestForget(t *testing.T) {
	s := new(stub)
	s.inRoom()
	k := room.Key{Type: "chat.usher.policy"}
	s.state(k.Type, "", "@a:x", `{"version":1}`)
	state := NewState(s.client(t, 0), StateOptions{})
	look(t, state, k)
	s.state(k.Type, "", "@a:x", `{}`)
	state.Forget("!r", "$else")
	state.Forget("!other", "$chat.usher.policy")
	if got := content(t, look(t, state, k), k); got != `{"version":1}` {
		t.Errorf("got %s", got)
	}
	state.Forget("!r", "$chat.usher.policy")
	if got := content(t, look(t, state, k), k); got != `{}` {
		t.Errorf("got %s", got)
	}
}

// TestForgetTellsSuspects: a redacted event is what the cache knows it to be, or may be any piece of state of which the cache knows nothing. Once that is
// read, other redactions are of no interest.
func TestForgetTellsSuspects(t *testing.T) {
	s := new(stub)
	s.inRoom()
	policy, levels, name := room.Key{Type: "chat.usher.policy"}, room.Key{Type: "m.room.power_levels"}, room.Key{Type: "m.room.name"}
	s.state(policy.Type, "", "@a:x", `{"version":1}`)
	s.state(name.Type, "", "@a:x", `{"name":"x"}`)
	state := NewState(s.client(t, 0), StateOptions{})
	look(t, state, name)
	for _, step := range []struct {
		event id.EventID
		read  []room.Key
		want  []room.Key
	}{
		{"$words", nil, []room.Key{policy, levels}},
		{"$words", []room.Key{policy}, []room.Key{levels}},
		{"$words", []room.Key{policy, levels}, nil}, // there are no levels
		{"$m.room.name", nil, []room.Key{name}},
		{"$m.room.name", nil, nil},
		{"$chat.usher.policy", nil, []room.Key{policy}},
		{"$chat.usher.policy", nil, []room.Key{policy}}, // unknown by now
	} {
		if len(step.read) > 0 {
			look(t, state, step.read...)
		}
		if got := state.Forget("!r", step.event, policy, levels); !slices.Equal(got, step.want) {
			t.Errorf("%s after reading %v: %v, want %v", step.event, step.read, got, step.want)
		}
	}
	if got := state.Forget("!unknown", "$words", policy); len(got) != 1 {
		t.Errorf("in an unknown room: %v", got)
	}
	outside := new(stub)
	outside.set(stateRequest("m.room.create", ""), 403, `{"errcode":"M_FORBIDDEN"}`)
	outside.set(stateRequest("m.room.member", "@usher:x"), 403, `{"errcode":"M_FORBIDDEN"}`)
	outside.set(stateRequest("chat.usher.policy", ""), 403, `{"errcode":"M_FORBIDDEN"}`)
	state = NewState(outside.client(t, 0), StateOptions{})
	if _, err := state.Snapshot(t.Context(), "!r", "", []room.Key{policy}, false); !errors.Is(err, invites.ErrNoView) {
		t.Fatal(err)
	}
	if got := state.Forget("!r", "$words", policy); len(got) != 0 {
		t.Errorf("in a room without the bot: %v", got)
	}
}

// TestCollectDots: a rule under a key that no path can name is found among all rules.
func TestCollectDots(t *testing.T) {
	for key, want := range map[string]string{".": `true .={"n":2}`, "..": `true ..={"n":2}`, "%2E%2E": `false %2E%2E=gone`} {
		s := new(stub)
		s.inRoom()
		s.set("GET /v3/rooms/!r/state", 200, "[]")
		state := NewState(s.client(t, 0), StateOptions{})
		collect(t, state, false)
		s.set("GET /v3/rooms/!r/state", 200, "["+stateEvent(listRule, key, "@a:x", `{"n":2}`)+"]")
		state.Changed("!r", room.Key{Type: listRule, StateKey: key})
		if got := collect(t, state, true); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}
