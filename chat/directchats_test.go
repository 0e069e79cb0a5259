package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"
)

// slowAccount is account data at a homeserver that takes its time to keep it.
type slowAccount struct {
	asked  chan map[id.UserID][]id.RoomID
	answer chan error
}

func (slowAccount) AccountData(context.Context, string) (json.RawMessage, error) { return nil, nil }
func (s slowAccount) SetAccountData(_ context.Context, _ string, content any) error {
	s.asked <- content.(map[id.UserID][]id.RoomID)
	return <-s.answer
}

// TestDirectsDontHoldOthersUp: whether a room is a direct chat is known at once, whatever the homeserver is at.
func TestDirectsDontHoldOthersUp(t *testing.T) {
	s := slowAccount{make(chan map[id.UserID][]id.RoomID, 2), make(chan error, 2)}
	d := NewDirectChats(s)
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	added := make(chan error, 2)
	add := func(r id.RoomID) { added <- d.add(t.Context(), "@a:x", r) }
	go add("!1")
	<-s.asked
	known := make(chan bool)
	go func() { known <- d.has("!1") }()
	select {
	case is := <-known:
		if is {
			t.Error("known before it was kept")
		}
	case <-t.Context().Done():
	}
	go add("!2")
	s.answer <- nil
	if err := <-added; err != nil {
		t.Error(err)
	}
	if both := <-s.asked; len(both["@a:x"]) != 2 {
		t.Errorf("the second overwrites the first: %v", both)
	}
	s.answer <- nil
	if err := <-added; err != nil || !d.has("!1") || !d.has("!2") {
		t.Error(err)
	}
}

// TestDirectChatsAreBounded: a person who invites the bot to direct chats all day does not make its record grow, and rooms that it left are forgotten.
func TestDirectChatsAreBounded(t *testing.T) {
	s := slowAccount{make(chan map[id.UserID][]id.RoomID, 100), make(chan error, 100)}
	close(s.answer)
	d := NewDirectChats(s)
	add := func(with id.UserID, r id.RoomID) map[id.UserID][]id.RoomID {
		t.Helper()
		if err := d.add(t.Context(), with, r); err != nil {
			t.Fatal(err)
		}
		return <-s.asked
	}
	add("@b:x", "!b")
	for n := range 3 * mostDirect {
		if kept := add("@a:x", id.RoomID(fmt.Sprint("!", n))); len(kept["@a:x"]) > mostDirect {
			t.Fatalf("%d are on record", len(kept["@a:x"]))
		}
	}
	if d.with("!0") != "" || d.with("!29") != "@a:x" || d.with("!b") != "@b:x" || len(d.rooms) != mostDirect+1 {
		t.Errorf("%d rooms are known", len(d.rooms))
	}
	d.forget("!29")
	d.forget("!b")
	if kept := add("@a:x", "!new"); d.has("!29") || len(kept["@b:x"]) > 0 || len(kept["@a:x"]) != mostDirect {
		t.Errorf("on record: %v", kept)
	}
}
