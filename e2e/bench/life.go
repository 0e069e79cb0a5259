package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	_ "modernc.org/sqlite"
)

// order gives one command in a room and waits until its invitation arrives and it is answered.
func order(s *subject, p *pusher, room string) (time.Duration, error) {
	text, event, target := invitation(room)
	arrives, answered := s.home.expect(target), s.home.expect(event)
	body := transaction([]string{text})
	sent := time.Now()
	if err := p.push(body); err != nil {
		return 0, err
	}
	at, err := wait(arrives)
	if err == nil {
		_, err = wait(answered)
	}
	return at.Sub(sent), err
}

// orders gives so many commands, one after the other, in the rooms in turn.
func orders(s *subject, count int) (took times, err error) {
	p, err := dial(s)
	if err != nil {
		return nil, err
	}
	defer p.close()
	for i := range count {
		d, err := order(s, p, roomID(i%s.home.rooms))
		if err != nil {
			return nil, err
		}
		took.add(d)
	}
	return took, nil
}

// startUp starts Usher with 1,000 rooms in which it had commands before, and notes how long it takes until it is ready, what it
// asks the homeserver, and its memory.
func (b *bench) startUp(w string) error {
	s, err := b.newUsher("usher", nil)
	if err != nil {
		return err
	}
	s.home.rooms, s.home.members = 1000, 100
	if err := s.start(); err != nil {
		return err
	}
	if _, err := orders(s, s.home.rooms); err != nil {
		return err
	}
	s.stop()
	for range b.rounds {
		before, start := s.home.requests.Load(), time.Now()
		if err := s.start(); err != nil {
			return err
		}
		b.table.add(w, "time to ready", "ms", s.name, float64(time.Since(start).Milliseconds()))
		b.table.add(w, "requests", "", s.name, float64(s.home.requests.Load()-before))
		b.table.add(w, "RSS", "MiB", s.name, s.rss())
		time.Sleep(time.Second) // what idle is
		b.table.add("idle", "RSS", "MiB", s.name, s.rss())
		s.stop()
	}
	return nil
}

// hugeRoom gives the first command in a room of 10 members and in one of 100,000.
func (b *bench) hugeRoom(w string) error {
	for round := range b.rounds {
		for _, size := range []struct {
			name    string
			members int
		}{{"small room", 10}, {"usher", 100_000}} {
			s, err := b.startUsher(size.name, nil)
			if err != nil {
				return err
			}
			s.home.members = size.members
			if _, err := orders(s, 10); err != nil {
				return err
			}
			fetched, rss := s.home.bytes.Load(), s.rss()
			p, err := dial(s)
			if err != nil {
				return err
			}
			took, err := order(s, p, roomID(1000+round))
			p.close()
			if err != nil {
				return err
			}
			b.table.add(w, "first command", "ms", size.name, float64(took)/float64(time.Millisecond))
			b.table.add(w, "fetched", "bytes", size.name, float64(s.home.bytes.Load()-fetched))
			b.table.add(w, "RSS gained", "MiB", size.name, s.rss()-rss)
			s.stop()
		}
	}
	return nil
}

// growth measures a command with 100,000 commands on record, against 10.
func (b *bench) growth(w string) error {
	var subjects []*subject
	for _, size := range []struct {
		name string
		rows int
	}{{"10 rows", 10}, {"1,000 rows", 1000}, {"usher", 100_000}} {
		s, err := b.startUsher(size.name, nil)
		if err != nil {
			return err
		}
		if _, err := orders(s, 50); err != nil { // the cache is warm, and there is a row to copy
			return err
		}
		s.stop()
		if err := s.fill(size.rows); err != nil {
			return err
		}
		if err := s.start(); err != nil {
			return err
		}
		if _, err := orders(s, 50); err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	return b.interleave(subjects, func(s *subject) error {
		took, err := orders(s, 200)
		if err == nil {
			b.table.add(w, "p50 of a command", "ms", s.name, quantile(took, 0.5))
		}
		return err
	})
}

// sql runs statements on the database of a Usher that is stopped.
func (s *subject) sql(statements ...string) error {
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "usher.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range statements {
		if _, err := db.Exec(text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
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

// day pushes what comes in 24 hours at 50 events/s, a command in every 3,000 events, as fast as it is taken. It compares the
// end of the day with its first hour; then it lets the inbox be a week older and starts Usher again.
func (b *bench) day(w string) error {
	s, err := b.startUsher("usher", nil)
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	p, err := dial(s)
	if err != nil {
		return err
	}
	defer p.close()
	random := rand.New(rand.NewPCG(3, 4))
	chats := make([][]string, 64)
	for i := range chats {
		chats[i] = traffic(random, 100)
	}
	const hour = 50 * 3600 / 100 // transactions
	rss := make([]float64, 0, 24)
	for i := range 24 * hour {
		events := chats[i%len(chats)]
		var answered <-chan time.Time
		if i%30 == 0 {
			text, event, _ := invitation(roomID(i / 30 % 50))
			events, answered = append(slices.Clone(events), text), s.home.expect(event)
		}
		if err := p.push(transaction(events)); err != nil {
			return err
		}
		if answered != nil {
			if _, err := wait(answered); err != nil {
				return err
			}
		}
		if (i+1)%hour == 0 {
			rss = append(rss, s.rss())
		}
	}
	b.table.add(w, "RSS after 24 h", "MiB", "usher", rss[23])
	b.table.add(w, "RSS after 24 h", "MiB", "first hour", rss[0])
	b.table.add(w, "RSS after 24 h", "MiB", "12 h", rss[11])
	b.table.add(w, "threads", "", "usher", s.status("Threads"))
	return b.weekLater(w, s)
}

// weekLater counts what the inbox keeps of what was handled a week ago.
func (b *bench) weekLater(w string, s *subject) error {
	count := func() (n float64, err error) {
		s.stop()
		db, err := sql.Open("sqlite", filepath.Join(s.dir, "usher.db"))
		if err != nil {
			return 0, err
		}
		defer db.Close()
		return n, db.QueryRow(`SELECT count(*) FROM inbox`).Scan(&n)
	}
	before, err := count()
	if err != nil {
		return err
	}
	if err := s.sql(`UPDATE inbox SET received_at = received_at - 8 * 86400000`); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	time.Sleep(time.Second) // it cleans when it starts
	after, err := count()
	if err != nil {
		return err
	}
	b.table.add(w, "inbox a week later", "rows", "usher", after)
	b.table.add(w, "inbox a week later", "rows", "before", before)
	return s.start()
}
