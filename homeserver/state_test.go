package homeserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

var (
	power = room.Key{Type: "m.room.power_levels"}
	bob   = room.MemberKey("@b:y")
)

// paths returns what was asked for, sorted and short.
func (s *stub) paths() []string {
	var short []string
	for _, r := range s.requests() {
		fields := strings.Fields(r)
		short = append(short, strings.TrimPrefix(fields[1], "/v3/rooms/!r/state/m.room.")+" "+fields[2])
	}
	slices.Sort(short)
	return short
}

func look(t *testing.T, s *State, needs ...room.Key) *room.Snapshot {
	t.Helper()
	snap, err := s.Snapshot(t.Context(), "!r", "", needs, false)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func content(t *testing.T, snap *room.Snapshot, k room.Key) string {
	t.Helper()
	e, known := snap.Event(k)
	switch {
	case !known:
		return "unknown"
	case e == nil:
		return "absent"
	}
	return string(e.Content)
}

func TestSnapshot(t *testing.T) {
	s := new(stub)
	s.inRoom()
	s.state("m.room.power_levels", "", "@a:x", `{"users":{"@a:x":"100"}}`)
	st := NewState(s.client(t, time.Minute), StateOptions{})

	snap := look(t, st, power, bob)
	if got := s.paths(); !slices.Equal(got, []string{"create/ @usher:x", "member/@b:y @usher:x", "member/@usher:x @usher:x", "power_levels/ @usher:x"}) {
		t.Errorf("cold: asked %q", got)
	}
	if got := content(t, snap, power); got != `{"users":{"@a:x":"100"}}` {
		t.Error(got)
	}
	if e, _ := snap.Event(power); e.Sender != "@a:x" || e.ID != "$m.room.power_levels" {
		t.Errorf("event %+v", e)
	}
	if got := content(t, snap, bob); got != "absent" {
		t.Error(got)
	}
	if again := look(t, st, power, bob); again != snap || len(s.requests()) != 0 {
		t.Error("warm: asked, or parsed again")
	}
	if got := content(t, look(t, st, power), room.MemberKey("@c:z")); got != "unknown" {
		t.Error(got)
	}

	st.Changed("!r", bob)
	st.Changed("!r", room.Key{Type: "m.room.topic"})
	st.Changed("!other", power)
	s.state("m.room.member", "@b:y", "@b:y", `{"membership":"join"}`)
	if got := content(t, look(t, st, power, bob), bob); got != `{"membership":"join"}` {
		t.Error(got)
	}
	if got := s.paths(); !slices.Equal(got, []string{"member/@b:y @usher:x"}) {
		t.Errorf("after a change: asked %q", got)
	}
	if _, err := st.Snapshot(t.Context(), "!r", "", []room.Key{power}, true); err != nil {
		t.Fatal(err)
	}
	if got := s.paths(); !slices.Equal(got, []string{"member/@usher:x @usher:x", "power_levels/ @usher:x"}) {
		t.Errorf("fresh: asked %q", got)
	}
	st.Invalidate("!r")
	look(t, st)
	if got := s.paths(); len(got) != 2 {
		t.Errorf("after Invalidate: asked %q", got)
	}
}

func TestTTL(t *testing.T) {
	s := new(stub)
	s.inRoom()
	now := time.UnixMilli(0)
	st := NewState(s.client(t, time.Minute), StateOptions{TTL: time.Minute, Now: func() time.Time { return now }})
	look(t, st)
	now = now.Add(time.Minute)
	s.requests()
	if look(t, st); len(s.requests()) != 0 {
		t.Error("forgot too early")
	}
	now = now.Add(time.Millisecond)
	if look(t, st); !slices.Equal(s.paths(), []string{"member/@usher:x @usher:x"}) {
		t.Error("the create event stays, the rest does not")
	}
}

func TestBounds(t *testing.T) {
	s := new(stub)
	s.inRoom()
	st := NewState(s.client(t, time.Minute), StateOptions{Rooms: 2, Members: 3})
	for i := range 10 {
		snap := look(t, st, room.MemberKey(id.UserID(fmt.Sprintf("@u%d:x", i))), power)
		if got := content(t, snap, room.MemberKey(id.UserID(fmt.Sprintf("@u%d:x", i)))); got != "absent" {
			t.Error(got)
		}
	}
	if got := len(st.rooms["!r"].Value.(*cached).events); got > 6 {
		t.Errorf("%d events kept", got)
	}
	for _, r := range []id.RoomID{"!a", "!b", "!c"} {
		_, _ = st.Snapshot(t.Context(), r, "", nil, false)
	}
	if len(st.rooms) != 2 || st.used.Len() != 2 || st.rooms["!r"] != nil {
		t.Errorf("%d rooms kept", len(st.rooms))
	}
}

// TestBoundsOfAll has rooms share one bound of members: who was used least gives way, and the count stays right.
func TestBoundsOfAll(t *testing.T) {
	st := NewState(new(stub).client(t, time.Minute), StateOptions{Members: 8})
	for _, r := range []id.RoomID{"!a", "!b"} {
		c := st.room(r)
		for i := range 6 {
			f := &fetch{key: room.MemberKey(id.UserID(fmt.Sprintf("@u%d:x", i))), done: make(chan struct{})}
			c.fetches[f.key] = f
			st.keep(c, f)
		}
	}
	a, b := st.room("!a").members, st.room("!b").members
	if a != 0 || b != 6 || st.kept != 6 {
		t.Errorf("kept %d and %d, counted %d", a, b, st.kept)
	}
	st.Changed("!b", room.MemberKey("@u0:x"))
	late := &fetch{key: room.MemberKey("@late:x"), done: make(chan struct{})}
	c := st.room("!b")
	c.fetches[late.key] = late
	st.Invalidate("!b")
	st.keep(c, late) // of a room that is gone
	if st.kept != 0 {
		t.Errorf("counted %d of nothing", st.kept)
	}
}

// TestBoundsOfBytes has rooms share one bound of bytes: large events push out the rooms used least, in the end their own, and the count stays right.
func TestBoundsOfBytes(t *testing.T) {
	st := NewState(new(stub).client(t, time.Minute), StateOptions{Bytes: 5000})
	put := func(r id.RoomID, kind string, size int) {
		c := st.room(r)
		f := &fetch{key: room.Key{Type: kind}, event: &room.Event{ID: id.EventID("$" + kind), Content: make([]byte, size)}, done: make(chan struct{})}
		c.fetches[f.key] = f
		st.keep(c, f)
		select {
		case <-f.done:
		default:
			t.Error("who waits is not served")
		}
		sum := 0
		for _, e := range st.rooms {
			for _, event := range e.Value.(*cached).events {
				sum += weight(event)
			}
		}
		if sum != st.bytes || sum > 5000 {
			t.Errorf("%d bytes kept, counted %d", sum, st.bytes)
		}
	}
	put("!a", room.TypeCreate, 100)
	for _, r := range []id.RoomID{"!a", "!b", "!c"} {
		put(r, "one", 1000)
		put(r, "two", 500)
	}
	if st.rooms["!a"] != nil || st.rooms["!b"] == nil || st.rooms["!c"] == nil {
		t.Errorf("kept %d rooms, not the last two", len(st.rooms))
	}
	st.Changed("!b", room.Key{Type: "one"})
	st.Forget("!b", "$two")
	put("!d", "huge", 60_000)
	if len(st.rooms) > 0 || st.bytes != 0 {
		t.Errorf("%d rooms kept, %d bytes counted", len(st.rooms), st.bytes)
	}
}

func TestViews(t *testing.T) {
	const denied = `{"errcode":"M_FORBIDDEN","error":"not in the room"}`
	join, leave, invite := `{"membership":"join"}`, `{"membership":"leave"}`, `{"membership":"invite"}`
	for name, c := range map[string]struct {
		bot, viewer string // member event of each, as each sees it: "" is denied, "none" absent
		asked       id.UserID
		ok          bool
	}{
		"the bot is in":          {join, "", "", true},
		"nobody":                 {"", "", "", false},
		"the viewer is in":       {"", join, "@a:x", true},
		"the viewer left":        {"", leave, "@a:x", false},
		"the viewer is invited":  {"", invite, "@a:x", false},
		"the world may read":     {"", "none", "@a:x", true},
		"the viewer is remote":   {"", join, "@a:y", false},
		"the viewer is the bot":  {"", join, "@usher:x", false},
		"the bot left":           {leave, "", "", false},
		"the bot is invited":     {invite, join, "@a:x", true},
		"the bot was never in":   {"none", "", "", false},
		"neither is in any more": {leave, leave, "@a:x", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stub)
			for user, member := range map[string]string{"@usher:x": c.bot, "@a:x": c.viewer, "@a:y": c.viewer} {
				for _, k := range []room.Key{createKey, room.MemberKey(id.UserID(user)), power} {
					request := stateRequest(k.Type, k.StateKey) + " as " + user
					switch {
					case member == "":
						s.set(request, 403, denied)
					case k.Type == "m.room.member" && member == "none":
						s.set(request, 404, `{"errcode":"M_NOT_FOUND"}`)
					case k.Type == "m.room.member", k == power && member == invite: // as Dendrite does
						s.set(request, 200, stateEvent("m.room.member", user, user, member))
					default:
						s.set(request, 200, stateEvent(k.Type, k.StateKey, user, `{}`))
					}
				}
			}
			st := NewState(s.client(t, time.Minute), StateOptions{})
			snap, err := st.Snapshot(t.Context(), "!r", c.asked, []room.Key{power}, false)
			if c.ok != (err == nil) || (err != nil && !errors.Is(err, invites.ErrNoView)) {
				t.Fatalf("got %v", err)
			}
			if c.ok && content(t, snap, power) != `{}` {
				t.Error("the state is missing")
			}
		})
	}
}

func TestOutsideIsRemembered(t *testing.T) {
	s := new(stub)
	s.set(stateRequest("m.room.create", ""), 403, `{"errcode":"M_FORBIDDEN"}`)
	st := NewState(s.client(t, time.Minute), StateOptions{})
	for range 3 {
		if _, err := st.Snapshot(t.Context(), "!r", "", nil, false); !errors.Is(err, invites.ErrNoView) {
			t.Fatal(err)
		}
	}
	// The bot's membership twice, since one refusal alone does not count; once where the first refusal comes before that request.
	if got := s.paths(); len(got) < 2 || len(got) > 3 {
		t.Errorf("asked %q", got)
	}
	s.inRoom()
	st.Changed("!r", room.MemberKey("@usher:x"))
	look(t, st)
}

func TestActForgets(t *testing.T) {
	for status, forgets := range map[int]bool{200: true, 500: true, 0: true, 403: false, 429: false, 401: false} {
		s := new(stub)
		s.inRoom()
		st := NewState(s.client(t, time.Minute), StateOptions{})
		look(t, st, bob)
		s.requests()
		s.set("POST /v3/rooms/!r/invite", status, map[bool]string{true: `{"errcode":"M_UNKNOWN_TOKEN"}`, false: `{"errcode":"M_FORBIDDEN"}`}[status == 401])
		_ = st.Act(t.Context(), invites.Effect{Action: room.Invite, Room: "!r", Performer: "@usher:x", Target: "@b:y"})
		s.requests()
		look(t, st, bob)
		if got := len(s.requests()) == 1; got != forgets {
			t.Errorf("status %d: forgot %v", status, got)
		}
	}
}

func TestJoinForgets(t *testing.T) {
	s := new(stub)
	st := NewState(s.client(t, time.Minute), StateOptions{})
	if _, err := st.Snapshot(t.Context(), "!r", "", nil, false); !errors.Is(err, invites.ErrNoView) {
		t.Fatal(err)
	}
	s.inRoom()
	s.set("POST /v3/join/#alias:x", 200, `{"room_id":"!r"}`)
	if r, err := st.Join(t.Context(), "#alias:x", nil, "", ""); r != "!r" || err != nil {
		t.Fatal(r, err)
	}
	look(t, st)
}

func TestRedacted(t *testing.T) {
	const asBot, asViewer = "GET /v3/rooms/!r/event/$e as @usher:x", "GET /v3/rooms/!r/event/$e as @a:x"
	const plain, gone = `{"type":"m.x","content":{"redacted_because":1}}`, `{"type":"m.x","content":{},"unsigned":{"redacted_because":{}}}`
	for name, c := range map[string]struct {
		bot, viewer  string
		viewerStatus int
		want         bool
		noView       bool
	}{
		"not redacted":           {plain, "", 0, false, false},
		"redacted":               {gone, "", 0, true, false},
		"redacted, for a viewer": {"", gone, 200, true, false},
		"for nobody":             {"", `{"errcode":"M_FORBIDDEN"}`, 403, false, true},
	} {
		s := new(stub)
		if c.bot != "" {
			s.set(asBot, 200, c.bot)
		}
		s.set(asViewer, c.viewerStatus, c.viewer)
		got, err := NewState(s.client(t, time.Minute), StateOptions{}).Redacted(t.Context(), "!r", "@a:x", "$e")
		if got != c.want || (err != nil) != c.noView || (c.noView && !errors.Is(err, invites.ErrNoView)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// creates is a CreateStore in memory.
type creates struct {
	mu   sync.Mutex
	kept map[id.RoomID]json.RawMessage
	fail error
}

func (c *creates) CreateEvent(_ context.Context, r id.RoomID) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept[r], c.fail
}

func (c *creates) SaveCreateEvent(_ context.Context, r id.RoomID, raw json.RawMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.kept[r] = raw
	}
	return c.fail
}

func TestCreateStore(t *testing.T) {
	s := new(stub)
	s.inRoom()
	kept := &creates{kept: map[id.RoomID]json.RawMessage{}}
	client := s.client(t, time.Minute)
	for i, want := range []int{2, 1} { // a restart in between
		snap := look(t, NewState(client, StateOptions{Creates: kept}))
		if got := s.paths(); len(got) != want {
			t.Errorf("start %d: asked %q", i, got)
		}
		if e, _ := snap.Event(createKey); e == nil || e.Sender != "@a:x" || string(e.Content) != `{"room_version":"11"}` {
			t.Errorf("start %d: %+v", i, e)
		}
	}
	kept.fail = errors.New("disk full")
	look(t, NewState(client, StateOptions{Creates: kept}))
}

// TestChangeOfForgotten changes a member that the cache has let go of, but a snapshot still shows.
func TestChangeOfForgotten(t *testing.T) {
	s := new(stub)
	s.inRoom()
	st := NewState(s.client(t, time.Minute), StateOptions{Members: 1})
	look(t, st, bob)
	look(t, st, room.MemberKey("@c:z"))
	s.state("m.room.member", "@b:y", "@b:y", `{"membership":"ban"}`)
	st.Changed("!r", bob)
	if got := content(t, look(t, st, bob), bob); got != `{"membership":"ban"}` {
		t.Error(got)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	st := NewState(&Client{Account{&connection{user: "@usher:x", counters: nobody{}}}}, StateOptions{})
	needs := []room.Key{power, {Type: "m.room.join_rules"}, room.MemberKey("@a:x"), bob}
	c := st.room("!r")
	for _, k := range append(needs, createKey, room.MemberKey("@usher:x")) {
		c.events[k] = &room.Event{Content: json.RawMessage(`{"membership":"join"}`)}
	}
	var targets [4000]room.Key
	for i := range targets {
		targets[i] = room.MemberKey(id.UserID(fmt.Sprintf("@u%d:x", i)))
		c.events[targets[i]] = nil
	}
	ask := func(b *testing.B, target func(int) room.Key) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			needs[3] = target(i)
			if _, err := st.Snapshot(b.Context(), "!r", "", needs, false); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("warm", func(b *testing.B) { ask(b, func(int) room.Key { return bob }) })
	b.Run("another target each time", func(b *testing.B) { ask(b, func(i int) room.Key { return targets[i%len(targets)] }) })
}
