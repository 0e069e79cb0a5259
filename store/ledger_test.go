package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

// fillLedger puts so many invitations of one room into a ledger; every tenth stays open.
func fillLedger(b *testing.B, s *store.Store, rows int) {
	b.Helper()
	now := time.Now()
	var list []invites.MemberEvent
	for n := range rows {
		target := id.UserID(fmt.Sprintf("@user%d:example.org", n))
		m := invites.MemberEvent{Event: id.EventID(fmt.Sprintf("$i%d", n)), Room: "!room:example.org", Target: target,
			Sender: id.UserID(fmt.Sprintf("@user%d:example.org", n/10)), Membership: "invite", SentAt: now.Add(-time.Duration(n) * time.Minute), SeenAt: now}
		list = append(list, m)
		if n%10 != 0 {
			m.Event, m.Membership, m.Sender = "j"+m.Event, "join", target
			list = append(list, m)
		}
	}
	for part := range slices.Chunk(list, 5000) {
		if _, err := s.Receive(b.Context(), nil, part...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLedger shows the cost by the size of the ledger.
func BenchmarkLedger(b *testing.B) {
	for _, rows := range []int{10, 1000, 100_000} {
		s := sqliteStore(b)
		fillLedger(b, s, rows)
		ctx, n, run := b.Context(), 0, time.Now().UnixNano()
		bench := func(name string, work func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, rows), func(b *testing.B) {
				for b.Loop() {
					if err := work(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		bench("invite-and-join", func() error {
			n++
			m := invites.MemberEvent{Event: id.EventID(fmt.Sprintf("$%d-%d", run, n)), Room: "!room:example.org",
				Target: id.UserID(fmt.Sprintf("@new%d:example.org", n)), Sender: "@user1:example.org", Membership: "invite", SentAt: time.Now(), SeenAt: time.Now()}
			j := m
			j.Event, j.Membership, j.Sender = m.Event+"j", "join", m.Target
			_, err := s.Receive(ctx, nil, m, j)
			return err
		})
		bench("pending", func() error { _, _, err := s.Pending(ctx, "!room:example.org", 30); return err })
		bench("who", func() error { _, err := s.EntriesOf(ctx, "!room:example.org", "@user5:example.org", 6); return err })
		bench("children", func() error { _, err := s.Children(ctx, "!room:example.org", "@user0:example.org", 60); return err })
		bench("roots", func() error { _, err := s.Roots(ctx, "!room:example.org", 60); return err })
		bench("tallies", func() error { _, err := s.Tallies(ctx, "!room:example.org", time.Now().AddDate(0, 0, -84)); return err })
		bench("overdue", func() error { _, err := s.Overdue(ctx, time.Now(), time.Now(), 100); return err })
		bench("load", func() error { return s.EachPending(ctx, func(id.RoomID, id.UserID) {}) })
	}
}
