package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// ingest pushes chat over one connection.
func (b *bench) ingest(w string, size int) error {
	var subjects []*subject
	for _, y := range []struct{ name, kind, binary string }{
		{"limit", "limit", "yardstick"}, {"mautrix", "mautrix", "yardstick"}, {"mautrix jsonv2", "mautrix", "yardstick-jsonv2"},
	} {
		s, err := startYardstick(b.dir, y.name, y.kind, b.binary(y.binary), false)
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	usher, err := b.startUsher("usher", nil)
	if err != nil {
		return err
	}
	if subjects, err = b.besideBase(nil, append(subjects, usher)...); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	bodies := make([][]byte, 16)
	for i := range bodies {
		bodies[i] = transaction(traffic(random, size))
	}
	return b.interleave(subjects, func(s *subject) error {
		return b.pour(w, s, size, func(i int) []byte { return bodies[i%len(bodies)] })
	})
}

// pour pushes transactions for one turn and notes what it took.
func (b *bench) pour(w string, s *subject, size int, body func(int) []byte) error {
	p, err := dial(s)
	if err != nil {
		return err
	}
	defer p.close()
	var took times
	before, start := s.cpu(), time.Now()
	for i := 0; time.Since(start) < b.length; i++ {
		text := body(i)
		sent := time.Now()
		if err := p.push(text); err != nil {
			return err
		}
		took.add(time.Since(sent))
	}
	events := float64(size * len(took))
	b.table.add(w, "events/s", "", s.name, events/time.Since(start).Seconds())
	b.table.add(w, "CPU/event", "µs", s.name, float64((s.cpu()-before).Microseconds())/events)
	b.table.add(w, "p50", "ms", s.name, quantile(took, 0.5))
	b.table.add(w, "p99", "ms", s.name, quantile(took, 0.99))
	return nil
}

// ingestCommands pushes transactions of 100 events, one of them a command, and waits between turns until all are answered.
func (b *bench) ingestCommands(w string) error {
	durable, err := startYardstick(b.dir, "durable limit", "durable", b.binary("yardstick"), false)
	if err != nil {
		return err
	}
	usher, err := b.startUsher("usher", nil)
	if err != nil {
		return err
	}
	subjects, err := b.besideBase(nil, durable, usher)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	var chats [][]string
	for range 16 {
		chats = append(chats, traffic(random, 100))
	}
	return b.interleave(subjects, func(s *subject) error {
		var answers []<-chan time.Time
		err := b.pour(w, s, 100, func(i int) []byte {
			events := slices.Clone(chats[i%len(chats)])
			text, event, _ := invitation(roomID(i % 50))
			events[50] = text
			if s.usher != nil {
				answers = append(answers, s.home.expect(event))
			}
			return transaction(events)
		})
		if err != nil {
			return err
		}
		return waitAll(answers)
	})
}
