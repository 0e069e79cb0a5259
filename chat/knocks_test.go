package chat

import (
	"context"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/invites"
	"usher/invites/cards"
	"usher/policy"
	"usher/room"
)

// heard remembers knocks.
type heard []id.EventID

func (h *heard) Receive(_ context.Context, k cards.Knock) (cards.Reception, error) {
	*h = append(*h, k.Event)
	return cards.Reception{}, nil
}

// TestKnockedBefore: where a policy opens a desk, or the bot comes to one, knocks from before become cards; nobody is asked where there is none.
func TestKnockedBefore(t *testing.T) {
	b, s := newChat(t)
	b.level = 1
	knocks, key := &heard{}, ""
	d := &doors{knocking: []invites.Received{{Event: "$knock", Room: "!r:here", Sender: "@bob:far", Type: room.TypeMember, Raw: []byte(`{"content":{"membership":"knock"}}`)}}}
	b.Rooms.invitees, b.Rooms.guard, b.Cards.knockers, b.Cards.knocks = d, d, d, knocks
	for i, tt := range []struct {
		policy, event string
		want          int
	}{
		{`{"version":1}`, policy.EventType, 0},
		{`{"version":1,"knocks":{"desk":true}}`, policy.EventType, 1},
		{`{"version":1,"knocks":{"desk":true},"ask":{"level":1}}`, policy.EventType, 1}, // and Receive knows the card
		{`{"version":1,"knocks":{"desk":true}}`, events.Unreadable, 1},
		{`{"version":1}`, events.Unreadable, 0},
	} {
		s.policy, *knocks = tt.policy, nil
		b.state.Changed("!r:here", policy.Key())
		ev := invites.Received{Event: id.EventID(fmt.Sprint("$", i)), Room: "!r:here", Sender: "@alice:here", Type: tt.event, StateKey: &key, Raw: []byte(`{"content":` + tt.policy + `}`), ReceivedAt: time.Now()}
		if fresh, err := b.store.Receive(t.Context(), []invites.Received{ev}); err != nil || !b.handle(t, fresh[0]).IsZero() {
			t.Fatal(err)
		}
		if len(*knocks) != tt.want {
			t.Errorf("%s by %s: %v, want %d", tt.policy, tt.event, *knocks, tt.want)
		}
	}
}
