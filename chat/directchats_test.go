package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
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

// kept is account data that a homeserver keeps, or refuses to.
type kept struct {
	content map[id.UserID][]id.RoomID
	writes  int
	err     error
}

func (*kept) AccountData(context.Context, string) (json.RawMessage, error) { return nil, nil }
func (k *kept) SetAccountData(_ context.Context, _ string, content any) error {
	k.writes++
	if k.err == nil {
		k.content = content.(map[id.UserID][]id.RoomID)
	}
	return k.err
}

// TestDirectsThatWereLeft: a room that the bot has left is taken off the record, and only such a room costs a request.
func TestDirectsThatWereLeft(t *testing.T) {
	k := &kept{}
	d := NewDirectChats(k)
	check := func(err error, want string, writes int) {
		t.Helper()
		if got := fmt.Sprint(k.content); err != nil || got != want || k.writes != writes {
			t.Errorf("%v, %d writes, %v; want %s, %d", got, k.writes, err, want, writes)
		}
	}
	for _, r := range []id.RoomID{"!1", "!2", "!3"} {
		if err := d.add(t.Context(), id.UserID("@"+r[1:min(2, len(r))]+":x"), r); err != nil {
			t.Fatal(err)
		}
	}
	check(d.add(t.Context(), "@1:x", "!4"), "map[@1:x:[!1 !4] @2:x:[!2] @3:x:[!3]]", 4)
	check(d.drop(t.Context(), "!group"), "map[@1:x:[!1 !4] @2:x:[!2] @3:x:[!3]]", 4)
	check(d.drop(t.Context(), "!1"), "map[@1:x:[!4] @2:x:[!2] @3:x:[!3]]", 5)
	check(d.drop(t.Context(), "!2"), "map[@1:x:[!4] @3:x:[!3]]", 6)
	check(d.drop(t.Context(), "!2"), "map[@1:x:[!4] @3:x:[!3]]", 6)
	k.err = errors.New("down")
	if err := d.drop(t.Context(), "!3"); err == nil || !d.has("!3") || d.has("!1") || d.has("!2") {
		t.Error("a failure is taken for done:", err)
	}
	k.err = nil
	check(d.add(t.Context(), "@1:x", "!5"), "map[@1:x:[!4 !5] @3:x:[!3]]", 8)
}

// TestLeavingADirectChat: the bot forgets a direct chat when it leaves, or is put out.
func TestLeavingADirectChat(t *testing.T) {
	b, _ := newChat(t)
	state := "@usher:here"
	for r, membership := range map[id.RoomID]string{"!left:here": "leave", "!banned:here": "ban"} {
		b.Direct.note("@alice:here", r)
		raw, _ := json.Marshal(map[string]any{"type": "m.room.member", "state_key": state, "content": map[string]any{"membership": membership}})
		ev := invites.Received{Event: id.EventID("$" + r), Room: r, Sender: "@alice:here", Type: "m.room.member", StateKey: &state, Raw: raw}
		if err := b.handler.members.handle(t.Context(), ev); err != nil || b.Direct.has(r) {
			t.Errorf("after %s: %v", membership, err)
		}
	}
}
