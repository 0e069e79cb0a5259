package bot

import (
	"context"
	"encoding/json"
	"testing"
	"time"

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
	d := &directs{homeserver: s}
	if err := d.load(t.Context()); err != nil {
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

// slowRecord is account data at a homeserver that takes its time to show it.
type slowRecord struct {
	slowAccount
	asked  chan struct{}
	answer chan string
}

func (s slowRecord) AccountData(context.Context, string) (json.RawMessage, error) {
	s.asked <- struct{}{}
	return json.RawMessage(<-s.answer), nil
}

// TestDirectsAreReadBeside: what other replicas say of direct chats is heard at once, whatever the homeserver is at. It is asked once at
// a time, and what was heard meanwhile stays known.
func TestDirectsAreReadBeside(t *testing.T) {
	s := slowRecord{asked: make(chan struct{}), answer: make(chan string)}
	b := &bot{ctx: t.Context(), direct: &directs{homeserver: s}}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		b.heard(t.Context(), word{wordDirect}) // an older version's
		b.heard(t.Context(), word{wordDirect})
		b.heard(t.Context(), word{wordDirect, "!1", "@a:x"})
	}()
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the homeserver")
	}
	if !b.direct.has("!1") {
		t.Error("not known at once")
	}
	<-s.asked
	b.heard(t.Context(), word{wordDirect})
	b.heard(t.Context(), word{wordDirect})
	select {
	case <-s.asked:
		t.Error("asked while it is asked")
	default:
	}
	s.answer <- `{"@a:x":["!2"]}`
	<-s.asked
	if !b.direct.has("!1") || !b.direct.has("!2") {
		t.Error("what was heard or read is not known")
	}
	s.answer <- `{}`
	for tick := time.NewTicker(time.Millisecond); b.direct.busy(); <-tick.C {
	}
	b.direct.reload(t.Context(), b.log)
	<-s.asked
	s.answer <- `{"@b:x":["!3"]}`
	for tick := time.NewTicker(time.Millisecond); b.direct.busy(); <-tick.C {
	}
	if !b.direct.has("!3") {
		t.Error("not read again")
	}
}

// busy tells whether the homeserver is asked.
func (d *directs) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reading
}
