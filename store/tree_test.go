package store_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// brought has somebody invited by somebody, and accept.
func brought(t *testing.T, s Store, n int, inviter, user id.UserID) {
	t.Helper()
	m := member(n, "invite", inviter)
	m.Target = user
	joined := m
	joined.Event, joined.Membership, joined.Sender = m.Event+"j", "join", user
	observe(t, s, m, joined)
}

func testTree(t *testing.T, s Store) {
	ctx := t.Context()
	const a, b, c, d = id.UserID("@a:x"), id.UserID("@b:x"), id.UserID("@c:x"), id.UserID("@d:x")
	brought(t, s, 1, a, b)
	brought(t, s, 2, b, c)
	brought(t, s, 3, b, a) // back again: a was here before
	brought(t, s, 4, "@z:x", d)
	brought(t, s, 5, c, d) // once more, by another
	brought(t, s, 6, a, "@e:x")
	if got := must(s.Roots(ctx, lobby, 10))(t); !slices.Equal(got, []id.UserID{a, "@z:x"}) {
		t.Errorf("roots %v", got)
	}
	for inviter, want := range map[id.UserID][]id.UserID{a: {b, "@e:x"}, b: {c}, c: {d}, d: nil, "@z:x": nil} {
		var got []id.UserID
		for _, e := range must(s.Children(ctx, lobby, inviter, 10))(t) {
			got = append(got, e.Target)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s brought %v, want %v", inviter, got, want)
		}
	}
	if got := must(s.Children(ctx, lobby, a, 1))(t); len(got) != 1 {
		t.Errorf("%d children, want the one asked for", len(got))
	}
	for n := range 3 {
		m := member(10+n, "invite", a)
		m.Target = id.UserID(fmt.Sprintf("@open%d:x", n))
		observe(t, s, m)
	}
	if got := must(s.PendingBy(ctx, lobby, a, 2))(t); len(got) != 2 || got[0].Target != "@open0:x" {
		t.Errorf("got %+v", got)
	}
}

func testTallies(t *testing.T, s Store) {
	sunday := time.Date(2026, 1, 4, 23, 59, 59, 0, time.UTC)
	for n, at := range []time.Time{sunday, sunday.Add(time.Second), sunday.Add(2 * time.Second), sunday.AddDate(0, -6, 0)} {
		m := member(n, "invite", asker)
		m.Target, m.SentAt, m.SeenAt = id.UserID(fmt.Sprintf("@user%d:x", n)), at, at
		observe(t, s, m)
	}
	first, last := time.Date(2025, 12, 22, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	got := slices.DeleteFunc(must(s.Tallies(t.Context(), lobby, first, last))(t), func(t invites.Tally) bool { return t.Count == 0 })
	want := []invites.Tally{
		{Week: time.Date(2025, 12, 29, 0, 0, 0, 0, time.UTC), Fate: invites.FatePending, Count: 1},
		{Week: last, Fate: invites.FatePending, Count: 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for n, by := range []id.UserID{"@less:x", "@more:x", "@more:x", "@more:x", "@more:x"} {
		m := member(100+n, "invite", by)
		m.Target, m.SentAt, m.SeenAt = id.UserID(fmt.Sprintf("@guest%d:x", min(n, 3))), sunday, sunday // the last one is invited again
		observe(t, s, m)
	}
	by, people, err := s.Busiest(t.Context(), lobby, first, 2)
	slices.SortFunc(by, func(a, b invites.Tally) int {
		return cmp.Or(cmp.Compare(a.Inviter, b.Inviter), cmp.Compare(a.Fate, b.Fate))
	})
	want = []invites.Tally{
		{Inviter: asker, Fate: invites.FatePending, Count: 3}, {Inviter: "@more:x", Fate: invites.FatePending, Count: 3}, {Inviter: "@more:x", Fate: invites.FateRenewed, Count: 1},
	}
	if !slices.Equal(by, want) || people != 3 || err != nil {
		t.Errorf("the busiest of %d: %+v, want %+v, %v", people, by, want, err)
	}
}
