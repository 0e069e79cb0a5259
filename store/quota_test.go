package store_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// charge spends for invitations.
func charge(version int64, room id.RoomID, server string, at time.Time, rows ...invites.Change) invites.Charge {
	return invites.Charge{Room: room, Version: version, Server: server, At: at, For: rows}
}

func testSpend(t *testing.T, s Store) {
	ctx := t.Context()
	rows := invitations(0, 3)
	rows[1].Actor = "@other:x"
	none := must(s.Spent(ctx, "!r", invites.SpentBy{}, time.Time{}))(t)
	if none.Version != 0 || len(none.List) != 0 {
		t.Errorf("at first: %+v", none)
	}
	must(s.Record(ctx, rows[:1], nil, charge(0, "!r", "x", epoch, rows[0])))(t)
	must(s.Record(ctx, rows[1:], nil, charge(1, "!r", "y", epoch.Add(time.Minute), rows[1:]...)))(t)
	all := must(s.Spent(ctx, "!r", invites.SpentBy{}, time.Time{}))(t)
	if all.Version != 2 || len(all.List) != 3 || !all.List[0].At.Equal(epoch) || all.List[0].Actor != rows[0].Actor || all.List[1].Server != "y" {
		t.Errorf("all: %+v", all)
	}
	for _, tt := range []struct {
		name  string
		room  id.RoomID
		by    invites.SpentBy
		since time.Time
		want  int
	}{
		{"since", "!r", invites.SpentBy{}, epoch, 2},
		{"by actor", "!r", invites.SpentBy{Actor: "@other:x"}, time.Time{}, 1},
		{"by server", "!r", invites.SpentBy{Server: "y"}, time.Time{}, 2},
		{"by server since", "!r", invites.SpentBy{Server: "x"}, epoch, 0},
		{"elsewhere", "!other", invites.SpentBy{}, time.Time{}, 0},
	} {
		if got := must(s.Spent(ctx, tt.room, tt.by, tt.since))(t); len(got.List) != tt.want {
			t.Errorf("%s: got %+v, want %d", tt.name, got.List, tt.want)
		}
	}
	stale := invitation(7)
	if _, err := s.Record(ctx, []invites.Change{stale}, nil, charge(1, "!r", "x", epoch, stale)); !errors.Is(err, invites.ErrSpent) {
		t.Errorf("a charge on what is past: %v", err)
	}
	if got := must(s.ChangesOf(ctx, string(stale.Command)))(t); slices.ContainsFunc(got, func(i invites.Change) bool { return i.Target == stale.Target }) {
		t.Error("recorded, though it was not charged")
	}
}

func testRefund(t *testing.T, s Store) {
	ctx := t.Context()
	rows := must(s.Record(ctx, invitations(0, 2), nil, charge(0, "!r", "x", epoch, invitations(0, 2)...)))(t)
	var settled []invites.Settlement
	for i, row := range claim(t, s, epoch, rows...) {
		settled = append(settled, invites.Settlement{ID: row.ID, Attempt: row.Attempt, Status: invites.StatusRefused, At: epoch, Refund: i == 0})
	}
	check(t, s.Settle(ctx, settled...))
	left := must(s.Spent(ctx, "!r", invites.SpentBy{}, time.Time{}))(t)
	if len(left.List) != 1 {
		t.Errorf("got %+v, want one of two given back", left.List)
	}
	fenced := settled[1]
	fenced.Refund = true
	if err := s.Settle(ctx, fenced); !errors.Is(err, invites.ErrFenced) {
		t.Errorf("got %v", err)
	}
	if again := must(s.Spent(ctx, "!r", invites.SpentBy{}, time.Time{}))(t); len(again.List) != 1 {
		t.Error("a settlement that was fenced off gave something back")
	}
	check(t, s.Clean(ctx, epoch.Add(400*24*time.Hour)))
	if again := must(s.Spent(ctx, "!r", invites.SpentBy{}, time.Time{}))(t); len(again.List) != 0 {
		t.Error("what no quota reaches back to is kept")
	}
}

// testSpendConcurrently has many callers spend a quota of five, each with the version it has read.
func testSpendConcurrently(t *testing.T, s Store) {
	ctx := t.Context()
	const quota, people = 5, 12
	var spent atomic.Int32
	var all sync.WaitGroup
	for n := range people {
		all.Go(func() {
			for {
				past, err := s.Spent(ctx, "!r", invites.SpentBy{}, time.Time{})
				if err != nil {
					t.Error(err)
					return
				}
				if len(past.List) >= quota {
					return
				}
				row := invitation(n)
				_, err = s.Record(ctx, []invites.Change{row}, nil, charge(past.Version, "!r", "x", epoch, row))
				if errors.Is(err, invites.ErrSpent) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				spent.Add(1)
				return
			}
		})
	}
	all.Wait()
	if got := spent.Load(); got != quota {
		t.Errorf("%d were spent of %d", got, quota)
	}
}

func testSpaceChildren(t *testing.T, s Store) {
	ctx := t.Context()
	want := []invites.SpaceChild{{Child: "!a", Space: "!s"}, {Child: "!a", Space: "!t"}, {Child: "!b", Space: "!s"}}
	check(t, s.SaveSpaceChildren(ctx, nil))
	check(t, s.SaveSpaceChildren(ctx, want[1:]))
	check(t, s.SaveSpaceChildren(ctx, want))
	if got := must(s.SpaceChildren(ctx))(t); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	check(t, s.DeleteSpaceChild(ctx, "!a", "!s"))
	if got := must(s.SpaceChildren(ctx))(t); !slices.Equal(got, want[1:]) {
		t.Errorf("without !s: %v", got)
	}
	check(t, s.DeleteSpaceChild(ctx, "!a", ""))
	if got := must(s.SpaceChildren(ctx))(t); !slices.Equal(got, want[2:]) {
		t.Errorf("without those of !a: %v", got)
	}
}
