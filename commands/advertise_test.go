package commands

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/room"
	"usher/words"
)

// shelf is a homeserver with descriptions and account data.
type shelf struct {
	*invitestest.Homeserver
	joined  []id.RoomID
	state   map[id.RoomID]map[room.Key]*room.Event
	account json.RawMessage
	sent    int
	full    int // how many state events may be sent before one fails; 0: any number
}

var errFull = errors.New("full")

func (s *shelf) SendState(_ context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	if s.sent++; s.full > 0 && s.sent > s.full {
		return "", errFull
	}
	if s.state[r] == nil {
		s.state[r] = map[room.Key]*room.Event{}
	}
	s.state[r][k] = &room.Event{Sender: as, Content: content}
	return "$state", nil
}

func (s *shelf) StateOf(_ context.Context, r id.RoomID, types []string) (found []invites.StateChange, err error) {
	for k, e := range s.state[r] {
		if slices.Contains(types, k.Type) {
			found = append(found, invites.StateChange{Key: k, Event: e})
		}
	}
	return found, nil
}

func (s *shelf) JoinedRooms(context.Context) ([]id.RoomID, error) { return slices.Clone(s.joined), nil }

func (s *shelf) AccountData(context.Context, string) (json.RawMessage, error) { return s.account, nil }

func (s *shelf) SetAccountData(_ context.Context, _ string, content any) (err error) {
	s.account, err = json.Marshal(content)
	return err
}

// described counts the descriptions in a room.
func (s *shelf) described(r id.RoomID) (n int) {
	for k, e := range s.state[r] {
		if k.Type == descriptionType && string(e.Content) != "{}" {
			n++
		}
	}
	return n
}

// settle starts an Advertiser and has it work until no room waits.
func (s *shelf) settle(t *testing.T, enabled bool) (*Advertiser, error) {
	t.Helper()
	a := NewAdvertiser(s, "@usher:here", enabled, "", nil)
	if err := a.start(t.Context()); err != nil {
		return a, err
	}
	return a, drain(t, a)
}

func drain(t *testing.T, a *Advertiser) error {
	t.Helper()
	for r, ok := a.next(); ok; r, ok = a.next() {
		if err := a.update(t.Context(), r); err != nil {
			return err
		}
	}
	return a.finish(t.Context())
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{Homeserver: &invitestest.Homeserver{}, joined: []id.RoomID{lobby, "!hall:here"}, state: map[id.RoomID]map[room.Key]*room.Event{}}
	s.Create(lobby, "11", alice, "@usher:here")
	s.Create("!hall:here", "11", alice, "@usher:here")
	s.power(lobby, 50)
	return s
}

func (s *shelf) power(r id.RoomID, level int) {
	s.Set(r, "m.room.power_levels", "", alice, map[string]any{"users": map[string]any{string(alice): 100, "@usher:here": level}})
}

// TestAdvertise: descriptions stand where the bot has the power to send them, and only there; nothing is sent twice.
func TestAdvertise(t *testing.T) {
	s := newShelf(t)
	all := len(Descriptions("@usher:here", words.For("")))
	a, err := s.settle(t, true)
	if err != nil || s.described(lobby) != all || s.described("!hall:here") != 0 {
		t.Fatalf("%d and %d descriptions, %v", s.described(lobby), s.described("!hall:here"), err)
	}
	s.power("!hall:here", 50)
	a.Look("!hall:here")
	a.Look(lobby)
	if err := drain(t, a); err != nil || s.described("!hall:here") != all || s.sent != 2*all {
		t.Errorf("%d descriptions, %d sent, %v", s.described("!hall:here"), s.sent, err)
	}
	if _, err := s.settle(t, true); err != nil || s.sent != 2*all {
		t.Errorf("a start sent %d, %v", s.sent-2*all, err)
	}
	if err := a.Withdraw(t.Context(), lobby); err != nil || s.described(lobby) != 0 || s.described("!hall:here") != all {
		t.Errorf("%d and %d descriptions, %v", s.described(lobby), s.described("!hall:here"), err)
	}
	if _, err := s.settle(t, false); err != nil || s.described("!hall:here") != 0 || s.sent != 4*all {
		t.Errorf("switched off: %d descriptions, %d sent, %v", s.described("!hall:here"), s.sent, err)
	}
	if _, err := s.settle(t, false); err != nil || s.sent != 4*all {
		t.Errorf("off: %d sent, %v", s.sent, err)
	}
}

// TestAdvertiseChanges: after a change of the table only differences are sent; others' descriptions are left alone.
func TestAdvertiseChanges(t *testing.T) {
	s := newShelf(t)
	if _, err := s.settle(t, true); err != nil {
		t.Fatal(err)
	}
	keys := slices.SortedFunc(maps.Keys(s.state[lobby]), func(x, y room.Key) int { return len(x.StateKey) - len(y.StateKey) })
	s.state[lobby][keys[0]].Content = json.RawMessage(`{"command":"older"}`)
	gone := room.Key{Type: descriptionType, StateKey: "gone"}
	s.state[lobby][gone] = &room.Event{Sender: "@usher:here", Content: json.RawMessage(`{"command":"gone"}`)}
	other := room.Key{Type: descriptionType, StateKey: "other"}
	s.state[lobby][other] = &room.Event{Sender: "@draupnir:here", Content: json.RawMessage(`{"command":"ban"}`)}
	s.account, s.sent = json.RawMessage(`{"table":"older","rooms":["!lobby:here"]}`), 0
	if _, err := s.settle(t, true); err != nil || s.sent != 2 {
		t.Errorf("%d sent, %v", s.sent, err)
	}
	if string(s.state[lobby][gone].Content) != "{}" || string(s.state[lobby][other].Content) != `{"command":"ban"}` {
		t.Errorf("%s, %s", s.state[lobby][gone].Content, s.state[lobby][other].Content)
	}
}

// TestAdvertiseFails: after a failure the next start completes or removes the descriptions of a room.
func TestAdvertiseFails(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		s := newShelf(t)
		s.power(lobby, 0)
		s.power("!hall:here", 50)
		if _, err := s.settle(t, true); err != nil {
			t.Fatal(err)
		}
		s.power(lobby, 50)
		s.full = s.sent + 3
		if _, err := s.settle(t, true); !errors.Is(err, errFull) || s.described(lobby) != 3 {
			t.Fatalf("%d descriptions, %v", s.described(lobby), err)
		}
		s.full = 0
		want := 0
		if enabled {
			want = len(Descriptions("@usher:here", words.For("")))
		}
		if _, err := s.settle(t, enabled); err != nil || s.described(lobby) != want {
			t.Errorf("%d descriptions, want %d, %v", s.described(lobby), want, err)
		}
	}
}
