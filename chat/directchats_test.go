package chat

import (
	"context"
	"encoding/json"
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
