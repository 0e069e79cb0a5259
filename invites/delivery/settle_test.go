package delivery_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/room"
)

func TestAutoJoinFollowsInvitation(t *testing.T) {
	w := newWorld(t)
	w.In.Self.AutoJoin = func(user id.UserID) bool { return user == bob }
	w.Build()
	w.MustAsk(t, w.Request(t, alice, bob, "@dora:here"))
	wakes := w.Queue.Take()
	if len(wakes) != 1 {
		t.Fatalf("%d wake-ups, want one: bob's join", len(wakes))
	}
	if got, err := invitestest.One(w.Delivery.Deliver(t.Context(), wakes[0].Row)); err != nil || got.Status != invites.StatusDone {
		t.Fatal(got, err)
	}
	acts := w.HS.Acts()
	last := acts[len(acts)-1]
	if last.Action != room.Join || last.Performer != bob || last.Target != bob {
		t.Errorf("last act %+v, want bob's join by bob", last)
	}
}
