package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Of the simulated day.
const (
	dayHours     = 24
	hour         = 50 * 3600 / 100 // transactions of 100 events
	commandEvery = 30              // transactions: a command a minute
	joinAfter    = 60              // commands: who is invited joins an hour later
)

// day pushes what comes in 24 hours at 50 events/s, a command among every 3,000 events and what comes of it, as fast as it is
// taken. It compares the end of the day with its first hour and its noon; then it lets the inbox be a week older and starts Usher
// again.
func (b *bench) day(w string) error {
	s, err := b.startUsher("usher", map[string]any{"metrics.enabled": true})
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
	looks := map[int]string{hour: "first hour", dayHours / 2 * hour: "12 h", dayHours * hour: "usher"}
	var guests []guest
	for i := range dayHours * hour {
		events := slices.Clone(chats[i%len(chats)])
		var answered <-chan time.Time
		switch n := len(guests); {
		case i%commandEvery == 0:
			g := guest{room: roomID(n % 50)}
			var text, event string
			text, event, g.user = invitation(g.room)
			guests = append(guests, g)
			events, answered = append(events, text), s.home.expect(event)
		case i%commandEvery == 1:
			events = append(events, guests[n-1].member("invite", bot))
			if n > joinAfter {
				g := guests[n-1-joinAfter]
				events = append(events, g.member("join", g.user))
			}
		}
		if err := p.push(transaction(events)); err != nil {
			return err
		}
		if answered != nil {
			if _, err := wait(answered); err != nil {
				return err
			}
		}
		if name, now := looks[i+1]; now {
			if err := b.hourOfDay(w, name, s); err != nil {
				return err
			}
		}
	}
	return b.weekLater(w, s)
}

// guest is somebody who was invited.
type guest struct{ room, user string }

// member is the event that the invitation, or the join, comes back as.
func (g guest) member(membership, sender string) string {
	return fmt.Sprintf(`{"type":"m.room.member","room_id":%q,"sender":%q,"state_key":%q,"content":{"membership":%q},"origin_server_ts":%d,"unsigned":{"age":12},"event_id":"$%043d"}`,
		g.room, sender, g.user, membership, time.Now().UnixMilli(), serial.Add(1))
}

// hourOfDay notes how large Usher is; with profiles also of what.
func (b *bench) hourOfDay(w, name string, s *subject) error {
	goroutines, err := s.metric("go_goroutines")
	if err != nil {
		return err
	}
	b.table.add(w, "RSS after 24 h", "MiB", name, s.rss())
	b.table.add(w, "goroutines", "", name, goroutines)
	size := map[string]float64{}
	for _, file := range []string{"usher.db", "usher.db-wal"} {
		info, err := os.Stat(filepath.Join(s.dir, file))
		if err != nil {
			return err
		}
		size[file] = float64(info.Size()) / (1 << 20)
	}
	b.table.add(w, "database and its log", "MiB", name, size["usher.db"]+size["usher.db-wal"])
	b.table.add(w, "its log", "MiB", name, size["usher.db-wal"])
	return b.heap(s, name)
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
