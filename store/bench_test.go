package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

var start = time.UnixMilli(1_700_000_000_000)

// onBoth runs a benchmark on a SQLite file and on PostgreSQL without fsync.
func onBoth(b *testing.B, run func(b *testing.B, s *store.Store)) {
	b.Run("sqlite", func(b *testing.B) { run(b, sqliteStore(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, postgresStore(b)) })
}

func benchEvents(from, n int) []invites.Received {
	list := make([]invites.Received, n)
	for i := range list {
		list[i] = invites.Received{Event: id.EventID(fmt.Sprintf("$%dabcdefghijklmnopqrstuvwxyz0123456789abcdef", from+i)), Room: "!room:example.org",
			Sender: "@alice:example.org", Type: "m.room.message", Raw: json.RawMessage(make([]byte, 400)), SentAt: start, ReceivedAt: start}
	}
	return list
}

func benchRow(n int) (invites.Change, invites.Audit) {
	command := id.EventID(fmt.Sprintf("$%dabcdefghijklmnopqrstuvwxyz0123456789abcdef", n))
	i := invites.Change{Request: string(command), Command: command, CommandRoom: "!room:example.org", Action: "invite", Room: "!room:example.org", Target: "@bob:example.org",
		Actor: "@alice:example.org", Performer: "@alice:example.org", Status: invites.StatusOpen, DueAt: start, CreatedAt: start}
	return i, invites.Audit{At: start, Kind: "decision", Action: i.Action, Room: i.Room, Actor: i.Actor, Performer: i.Performer, Target: i.Target, Verdict: "allow", Request: string(command)}
}

func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			onBoth(b, func(b *testing.B, s *store.Store) {
				from := 0
				for b.Loop() {
					if fresh, err := s.Receive(b.Context(), benchEvents(from, n)); err != nil || len(fresh) != n {
						b.Fatal(len(fresh), err)
					}
					from += n
				}
			})
		})
	}
}

// settleOne takes one invitation from its record to its end.
func settleOne(b *testing.B, s *store.Store, n int) {
	row, decision := benchRow(n)
	stored, err := s.Record(b.Context(), []invites.Change{row}, []invites.Audit{decision})
	if err != nil {
		b.Error(err)
		return
	}
	rows, err := s.Claim(b.Context(), []int64{stored[0].ID}, start, time.Minute)
	if err != nil || len(rows) != 1 {
		b.Error(rows, err)
		return
	}
	claimed := rows[0]
	effect := decision
	effect.Kind = "effect"
	err = s.Settle(b.Context(), invites.Settlement{ID: claimed.ID, Attempt: claimed.Attempt, Status: invites.StatusDone, At: start, Audit: []invites.Audit{effect}})
	if err != nil {
		b.Error(err)
	}
}

func BenchmarkRecordClaimSettle(b *testing.B) {
	onBoth(b, func(b *testing.B, s *store.Store) {
		n := 0
		for b.Loop() {
			settleOne(b, s, n)
			n++
		}
	})
}

// BenchmarkCommand is the whole work of the store for one !invite.
func BenchmarkCommand(b *testing.B) {
	for _, flight := range []int{1, 32} {
		b.Run(fmt.Sprint(flight), func(b *testing.B) {
			onBoth(b, func(b *testing.B, s *store.Store) {
				slots := make(chan struct{}, flight)
				n := 0
				for b.Loop() {
					n++
					slots <- struct{}{}
					go func(n int) {
						defer func() { <-slots }()
						if _, err := s.Receive(b.Context(), benchEvents(n, 1)); err != nil {
							b.Error(err)
						}
						settleOne(b, s, n)
						if err := s.Handled(b.Context(), benchEvents(n, 1)[0].Event); err != nil {
							b.Error(err)
						}
					}(n)
				}
				for range flight {
					slots <- struct{}{}
				}
			})
		})
	}
}

// BenchmarkFull measures the daily calls with 100,000 rows in every table; the cost must be as with empty tables.
func BenchmarkFull(b *testing.B) {
	for _, rows := range []int{10, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			onBoth(b, func(b *testing.B, s *store.Store) {
				fill(b, s, rows)
				n := rows
				b.Run("command", func(b *testing.B) {
					for b.Loop() {
						n++
						settleOne(b, s, n)
					}
				})
				b.Run("waiting", func(b *testing.B) {
					for b.Loop() {
						if _, err := s.WaitingAfter(b.Context(), 0, 1000); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.Run("due", func(b *testing.B) {
					for b.Loop() {
						if _, err := s.Due(b.Context(), start, 0, 10); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		})
	}
}

// fill adds handled events, and invitations: half of them settled, half of them due later.
func fill(b *testing.B, s *store.Store, rows int) {
	for from := 0; from < rows; from += 1000 {
		n := min(1000, rows-from)
		if _, err := s.Receive(b.Context(), benchEvents(from, n)); err != nil {
			b.Fatal(err)
		}
		var list []invites.Change
		var audit []invites.Audit
		for i := range n {
			row, decision := benchRow(from + i)
			if row.DueAt = start.Add(time.Hour); i%2 == 0 {
				row.Status = invites.StatusDone
			}
			list, audit = append(list, row), append(audit, decision)
		}
		if _, err := s.Record(b.Context(), list, audit); err != nil {
			b.Fatal(err)
		}
	}
	for _, sql := range []string{`UPDATE inbox SET handled = true`, `VACUUM`, `ANALYZE`} {
		var err error
		if db := s.SQL(); db != nil {
			_, err = db.ExecContext(b.Context(), sql)
		} else {
			_, err = s.Pool().Exec(b.Context(), sql)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

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
		bench("tallies", func() error {
			_, err := s.Tallies(ctx, "!room:example.org", time.Now().AddDate(0, 0, -84), time.Now())
			return err
		})
		bench("busiest", func() error {
			_, _, err := s.Busiest(ctx, "!room:example.org", time.Now().AddDate(0, 0, -84), 20)
			return err
		})
		bench("overdue", func() error { _, err := s.Overdue(ctx, time.Now(), time.Now(), 100); return err })
		bench("load", func() error { return s.EachPending(ctx, func(id.RoomID, id.UserID) {}) })
	}
}
