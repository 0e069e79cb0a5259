package guard_test

import (
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
)

// TestRefreshBelow: the rooms below a room learn of its policy, as far down as policies are inherited, also where spaces claim each other.
func TestRefreshBelow(t *testing.T) {
	w := newWatch(t, door)
	room := func(name string) id.RoomID {
		r := id.RoomID("!" + name + ":here")
		w.HS.Create(r, "11", alice, bot)
		w.HS.Set(r, policy.EventType, "", alice, object{"version": 1, "guard": object{"mode": "enforce", "join_rule": "invite"}})
		return r
	}
	var links []invites.SpaceChild
	var chain []id.RoomID
	above := lobby
	for depth := range judge.MaxAbove + 2 {
		below := room(fmt.Sprint("level", depth))
		links = append(links, invites.SpaceChild{Space: above, Child: below})
		chain, above = append(chain, below), below
	}
	beside, elsewhere := room("beside"), room("elsewhere")
	links = append(links, invites.SpaceChild{Space: chain[0], Child: beside}, invites.SpaceChild{Space: beside, Child: lobby}, invites.SpaceChild{Space: beside, Child: chain[0]})
	if err := w.DB.SaveSpaceChildren(t.Context(), links); err != nil {
		t.Fatal(err)
	}
	if err := w.guard.RefreshBelow(t.Context(), lobby); err != nil {
		t.Fatal(err)
	}
	for depth, r := range chain {
		if got, want := w.guard.Watches(r), depth < judge.MaxAbove; got != want {
			t.Errorf("watches the room %d below: %t", depth+1, got)
		}
	}
	if !w.guard.Watches(beside) || w.guard.Watches(elsewhere) {
		t.Errorf("watches the other child: %t, a room of no space: %t", w.guard.Watches(beside), w.guard.Watches(elsewhere))
	}
}
