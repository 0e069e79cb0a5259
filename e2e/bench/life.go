package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
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

// orders gives so many commands, one after the other, in so many rooms in turn.
func orders(s *subject, count, rooms int) (times, error) {
	return ordersWhile(s, rooms, func(given int) bool { return given < count })
}

func ordersWhile(s *subject, rooms int, more func(given int) bool) (took times, err error) {
	p, err := dial(s)
	if err != nil {
		return nil, err
	}
	defer p.close()
	for i := 0; more(i); i++ {
		d, err := order(s, p, roomID(i%rooms))
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
	if _, err := orders(s, s.home.rooms, s.home.rooms); err != nil {
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
			if _, err := orders(s, 10, 10); err != nil {
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
