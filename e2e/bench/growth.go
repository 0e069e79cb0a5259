package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// roomsOfGrowth is in how many rooms a command's cost is measured, however many there are.
const roomsOfGrowth = 10

// grow measures a command with 100,000 of something, against 1,000 and 10. prepare starts a Usher and gives it so many.
func (b *bench) grow(w, what string, prepare func(s *subject, count int) error) error {
	var subjects []*subject
	for _, size := range []struct {
		name  string
		count int
	}{{"10 " + what, 10}, {"1,000 " + what, 1000}, {"usher", 100_000}} {
		s, err := b.newUsher(size.name, nil)
		if err != nil {
			return err
		}
		if err := prepare(s, size.count); err != nil {
			return fmt.Errorf("%s: %w", size.name, err)
		}
		if _, err := orders(s, 50, roomsOfGrowth); err != nil { // the rooms' state is known
			return err
		}
		if err := b.heap(s, size.name); err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	const finer = 5 // short turns: the ratios are small, and noise that outlasts one would be larger
	fine := *b
	fine.rounds, fine.length = b.rounds*finer, b.length/finer
	return fine.interleave(subjects, func(s *subject) error {
		end := time.Now().Add(fine.length)
		took, err := ordersWhile(s, roomsOfGrowth, func(int) bool { return time.Now().Before(end) })
		if err != nil {
			return err
		}
		b.table.add(w, "p50 of a command", "ms", s.name, quantile(took, 0.5))
		b.table.add(w, "RSS", "MiB", s.name, s.rss())
		return nil
	})
}

// growLedger has commands on record.
func (b *bench) growLedger(w string) error {
	return b.grow(w, "rows", func(s *subject, count int) error {
		if err := s.start(); err != nil {
			return err
		}
		if _, err := orders(s, 50, roomsOfGrowth); err != nil { // there is a row to copy
			return err
		}
		s.stop()
		if err := s.fill(count); err != nil {
			return err
		}
		return s.start()
	})
}

// growRooms has had a command in each of many rooms.
func (b *bench) growRooms(w string) error {
	return b.grow(w, "rooms", func(s *subject, count int) error {
		s.home.rooms = count
		if err := s.start(); err != nil {
			return err
		}
		return visit(s, count)
	})
}

// growRules has the rooms' policy watch a policy list.
func (b *bench) growRules(w string) error {
	return b.grow(w, "rules", func(s *subject, count int) error {
		s.home.rules = count
		return s.start()
	})
}

// visit gives a command in each of so many rooms, 32 at a time.
func visit(s *subject, rooms int) error {
	const flights = 32
	var flying sync.WaitGroup
	failed := make([]error, flights)
	for flight := range flights {
		flying.Go(func() {
			p, err := dial(s)
			if err != nil {
				failed[flight] = err
				return
			}
			defer p.close()
			for i := flight; i < rooms && err == nil; i += flights {
				_, err = order(s, p, roomID(i))
			}
			failed[flight] = err
		})
	}
	flying.Wait()
	return errors.Join(failed...)
}

// fill copies the first command on record, with what hangs on it, until there are so many.
func (s *subject) fill(rows int) error {
	count := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, rows)
	copyOf := func(table, columns, values string) string {
		return fmt.Sprintf(`%sINSERT INTO %s (%s) SELECT %s FROM n, (SELECT * FROM %[2]s LIMIT 1)`, count, table, columns, values)
	}
	const given = `command_room, action, room_id, via, actor, performer, reason, status, code, detail, attempt, due_at, leased_until, created_at, settled_at`
	const audited = `at, kind, action, room_id, actor, performer, verdict, code, policy`
	return s.sql(
		copyOf("inbox", `event_id, room_id, sender, type, raw, sent_at, received_at, redacted, answer, handled`,
			`'$copy' || i, room_id, sender, type, raw, sent_at, received_at, redacted, answer, handled`),
		copyOf("invitation", `cmd, part, command, target, `+given, `i, i, '$copy' || i, '@copy' || i || ':bench.example', `+given),
		copyOf("audit", `cmd, part, command, target, `+audited, `i, i, '$copy' || i, '@copy' || i || ':bench.example', `+audited),
		copyOf("create_event", `room_id, raw`, `'!copy' || i, raw`),
		`ANALYZE`,
	)
}
