package store_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// testMoves: an upgrade is kept once for two rooms, until nothing is left to do; the one that was asked for takes the place of one that was seen.
func testMoves(t *testing.T, s Store) {
	ctx := t.Context()
	seen := must(s.BeginUpgrade(ctx, invites.Upgrade{Old: "!old", New: "!new", Actor: "@a:x", Version: "12", Rest: []string{"#a:x"}, Notes: []string{"{}"}, DueAt: epoch, CreatedAt: epoch}))(t)
	if again := must(s.BeginUpgrade(ctx, invites.Upgrade{Old: "!old", New: "!new", Actor: "@b:x"}))(t); !reflect.DeepEqual(again, seen) {
		t.Errorf("got %+v, want %+v", again, seen)
	}
	if early := must(s.UpgradesDue(ctx, epoch.Add(-time.Second), 10))(t); len(early) != 0 {
		t.Errorf("%+v", early)
	}
	asked := must(s.BeginUpgrade(ctx, invites.Upgrade{Old: "!old", Actor: "@c:x", Performer: "@usher:x", Command: "$c"}))(t)
	if got := must(s.UpgradeOf(ctx, "!old", ""))(t); !reflect.DeepEqual(got, asked) {
		t.Errorf("got %+v, want %+v", got, asked)
	}
	asked.New, asked.Step, asked.DueAt, asked.Notes = "!new", 3, epoch.Add(time.Second), []string{"a", "b"}
	if err := s.SaveUpgrade(ctx, asked); err != nil {
		t.Fatal(err)
	}
	if due := must(s.UpgradesDue(ctx, epoch.Add(time.Second), 10))(t); !reflect.DeepEqual(due, []invites.Upgrade{asked}) {
		t.Errorf("%+v", due)
	}
	if _, err := s.Upgrade(ctx, seen.ID); !errors.Is(err, invites.ErrNotFound) {
		t.Error(err)
	}
	asked.DueAt = time.Time{}
	if err := s.SaveUpgrade(ctx, asked); err != nil {
		t.Fatal(err)
	}
	if due := must(s.UpgradesDue(ctx, epoch.Add(time.Hour), 10))(t); len(due) != 0 {
		t.Errorf("%+v", due)
	}

	one := must(s.CreateLink(ctx, link(2, "!old", "!b"), secret(1)))(t)
	both := must(s.CreateLink(ctx, link(2, "!old", "!new"), secret(2)))(t)
	none := must(s.CreateLink(ctx, link(2, "!b"), secret(3)))(t)
	for _, want := range []int64{1, 0} {
		if n := must(s.MoveLinks(ctx, "!old", "!new"))(t); n != want {
			t.Errorf("%d links moved, want %d", n, want)
		}
	}
	for l, want := range map[int64][]id.RoomID{one.ID: {"!b", "!new"}, both.ID: {"!new"}, none.ID: {"!b"}} {
		if got := must(s.Link(ctx, l))(t); !reflect.DeepEqual(got.Rooms, want) {
			t.Errorf("link %d opens %v, want %v", l, got.Rooms, want)
		}
	}
}
