package main

import (
	"errors"
	"sync"
	"time"
)

var errSilent = errors.New("no answer within a minute")

func wait(c <-chan time.Time) (time.Time, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case t := <-c:
		return t, nil
	case <-timer.C:
		return time.Time{}, errSilent
	}
}

func waitAll(list []<-chan time.Time) error {
	for _, c := range list {
		if _, err := wait(c); err != nil {
			return err
		}
	}
	return nil
}

// commands measures from the push of a command until its /invite arrives, so many in flight, with a pause between. Each flight
// has its connection and its own rooms.
func (b *bench) commands(w string, flights int, pause time.Duration) error {
	limit, err := startYardstick(b.dir, "limit", "limit", b.binary("yardstick"), true)
	if err != nil {
		return err
	}
	durable, err := startYardstick(b.dir, "durable limit", "durable", b.binary("yardstick"), true)
	if err != nil {
		return err
	}
	usher, err := b.startUsher("usher", nil)
	if err != nil {
		return err
	}
	puppet, err := b.startUsher("usher, asserting", map[string]any{"puppet.enabled": true})
	if err != nil {
		return err
	}
	subjects, err := b.besideBase(nil, limit, durable, usher, puppet)
	if err != nil {
		return err
	}
	for _, s := range subjects { // the state of the rooms is known, the connections are open
		if err := b.flights(s, flights, inRoomsOfItsOwn(flights), 0, b.length/2, nil); err != nil {
			return err
		}
	}
	return b.interleave(subjects, func(s *subject) error {
		var took times
		before, start := s.cpu(), time.Now()
		length := b.length
		if pause > 0 {
			length *= 2
		}
		if err := b.flights(s, flights, inRoomsOfItsOwn(flights), pause, length, &took); err != nil {
			return err
		}
		seconds, commands := time.Since(start).Seconds(), float64(len(took))
		b.table.add(w, "p50", "ms", s.name, quantile(took, 0.5))
		b.table.add(w, "p99", "ms", s.name, quantile(took, 0.99))
		b.table.add(w, "CPU/command", "µs", s.name, float64((s.cpu()-before).Microseconds())/commands)
		if pause == 0 {
			b.table.add(w, "commands/s", "", s.name, commands/seconds)
		}
		return nil
	})
}

// oneRoom measures commands in flight in a single room, beside as many in rooms of their own.
func (b *bench) oneRoom(w string, flights int) error {
	one, err := b.startUsher("usher", nil)
	if err != nil {
		return err
	}
	many, err := b.startUsher("many rooms", nil)
	if err != nil {
		return err
	}
	rooms := func(s *subject) rooms {
		if s == many {
			return inRoomsOfItsOwn(flights)
		}
		return func(int, int) string { return roomID(0) }
	}
	subjects, err := b.besideBase(nil, one, many)
	if err != nil {
		return err
	}
	for _, s := range subjects {
		if err := b.flights(s, flights, rooms(s), 0, b.length/2, nil); err != nil {
			return err
		}
	}
	return b.interleave(subjects, func(s *subject) error {
		var took times
		start := time.Now()
		if err := b.flights(s, flights, rooms(s), 0, b.length, &took); err != nil {
			return err
		}
		b.table.add(w, "p50", "ms", s.name, quantile(took, 0.5))
		b.table.add(w, "p99", "ms", s.name, quantile(took, 0.99))
		b.table.add(w, "commands/s", "", s.name, float64(len(took))/time.Since(start).Seconds())
		return nil
	})
}

// rooms returns the room of the nth command of a flight.
type rooms func(flight, n int) string

// roomsOfFlight is how many rooms the commands of one flight go round: the reply to the last one need not be out before the
// next one comes.
const roomsOfFlight = 50

// inRoomsOfItsOwn has each flight go round its own rooms.
func inRoomsOfItsOwn(flights int) rooms {
	own := max(1, roomsOfFlight/flights)
	return func(flight, n int) string { return roomID(flight*own + n%own) }
}

// flights keeps commands in flight for a while, and returns when all are answered.
func (b *bench) flights(s *subject, flights int, in rooms, pause, length time.Duration, took *times) error {
	var mu sync.Mutex
	var failed error
	var flying sync.WaitGroup
	end := time.Now().Add(length)
	for flight := range flights {
		flying.Go(func() {
			own, err := b.fly(s, flight, in, pause, end)
			mu.Lock()
			defer mu.Unlock()
			if took != nil {
				*took = append(*took, own...)
			}
			failed = errors.Join(failed, err)
		})
	}
	flying.Wait()
	return failed
}

func (b *bench) fly(s *subject, flight int, in rooms, pause time.Duration, end time.Time) (took times, err error) {
	p, err := dial(s)
	if err != nil {
		return nil, err
	}
	defer p.close()
	var answers []<-chan time.Time
	for i := 0; time.Now().Before(end); i++ {
		text, event, target := invitation(in(flight, i))
		arrives := s.home.expect(target)
		if s.usher != nil {
			answers = append(answers, s.home.expect(event))
		}
		body := transaction([]string{text})
		sent := time.Now()
		if err := p.push(body); err != nil {
			return nil, err
		}
		at, err := wait(arrives)
		if err != nil {
			return nil, err
		}
		took.add(at.Sub(sent))
		if pause > 0 {
			time.Sleep(pause)
		}
	}
	return took, waitAll(answers)
}
