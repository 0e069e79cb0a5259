package store_test

import (
	"testing"
	"time"

	"usher/invites"
)

// testSpaceWaits: an invitation that waits for a join is kept whole, once for each room of a space and person.
func testSpaceWaits(t *testing.T, s Store) {
	ctx := t.Context()
	one := invites.SpaceWait{
		Space: "!space:example.org", Room: lobby, Target: target, Actor: asker, Command: "$c", CommandRoom: lobby, Reason: "cake", AsBot: true, CreatedAt: epoch,
		ExpiresAt: epoch.Add(time.Hour),
	}
	two, again := one, one
	two.Room, again.Reason = "!two:example.org", "other"
	check(t, s.AddSpaceWaits(ctx, []invites.SpaceWait{one, two}))
	check(t, s.AddSpaceWaits(ctx, []invites.SpaceWait{again}))
	got := must(s.SpaceWaitsOf(ctx, one.Space, target))(t)
	if len(got) != 2 {
		t.Fatalf("got %+v", got)
	}
	if one.ID, two.ID = got[0].ID, got[1].ID; got[0] != one || got[1] != two {
		t.Errorf("got  %+v\nwant %+v", got, []invites.SpaceWait{one, two})
	}
	if list := must(s.SpaceWaitsAfter(ctx, one.ID, 9))(t); len(list) != 1 || list[0] != two {
		t.Errorf("after the first: %+v", list)
	}
	check(t, s.DropSpaceWaits(ctx, two.ID))
	if list := must(s.SpaceWaitsAfter(ctx, 0, 9))(t); len(list) != 1 || list[0] != one {
		t.Errorf("left: %+v", list)
	}
}
