package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cost is work that can be counted.
type cost struct{ requests, statements, flushes float64 }

// costRounds is how often each cost is counted. The least count is free of work by the clock, such as sweeps.
const costRounds = 7

// costs counts the work for single messages, one at a time. Unlike times, the counts are the same on every machine.
func (b *bench) costs(w string) error {
	for _, name := range []string{"usher", "usher, asserting"} {
		s, err := b.startUsher(name, map[string]any{"metrics.enabled": true, "puppet.enabled": name != "usher"})
		if err != nil {
			return err
		}
		err = b.costsOf(w, s)
		s.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) costsOf(w string, s *subject) error {
	p, err := dial(s)
	if err != nil {
		return err
	}
	defer p.close()
	room := roomID(0)
	guest := func() string { return fmt.Sprintf("@guest%d:%s", serial.Add(1), domain) }
	for _, kind := range []struct {
		name string
		text func() string // of a command; nil: a transaction of 100 events of chat
	}{
		{"", func() string { return "!invite " + guest() }}, // the state of the room is known from here on
		{"!invite of one person", func() string { return "!invite " + guest() }},
		{"!invite of ten people", func() string {
			text := "!invite"
			for range 10 {
				text += " " + guest()
			}
			return text
		}},
		{"!invite, refused", func() string { return "!invite @asker:" + domain }},
		{"!ping", func() string { return "!ping" }},
		{"100 events of chat", nil},
	} {
		var least cost
		for round := range costRounds {
			body := transaction(traffic(rand.New(rand.NewPCG(1, 2)), 100))
			var answered <-chan time.Time
			if kind.text != nil {
				event := fmt.Sprintf("$%043d", serial.Add(1))
				answered = s.home.expect(event)
				body = transaction([]string{command(event, room, kind.text())})
			}
			got, err := s.costOf(func() error {
				if err := p.push(body); err != nil || answered == nil {
					return err
				}
				_, err := wait(answered)
				return err
			})
			if err != nil {
				return err
			}
			if round == 0 || got.statements < least.statements {
				least = got
			}
		}
		if kind.name != "" {
			b.table.add(w+": "+kind.name, "requests", "", s.name, least.requests)
			b.table.add(w+": "+kind.name, "SQL statements", "", s.name, least.statements)
			b.table.add(w+": "+kind.name, "flushes", "", s.name, least.flushes)
		}
	}
	return nil
}

// costOf counts the work until Usher is idle again. Reading the metrics costs statements, too.
func (s *subject) costOf(do func() error) (cost, error) {
	const statements, commits = "usher_store_statements_total", "usher_store_commits_total"
	reading := math.Inf(1)
	var before []float64
	for range 5 {
		now, err := s.metricsOf(statements, commits)
		if err != nil {
			return cost{}, err
		}
		if before != nil {
			reading = min(reading, now[0]-before[0])
		}
		before = now
	}
	requests := s.home.requests.Load()
	if err := do(); err != nil {
		return cost{}, err
	}
	for reads := 1.0; ; reads++ {
		now, err := s.metricsOf(statements, commits, "usher_inbox_depth", "usher_queue_depth")
		if err != nil {
			return cost{}, err
		}
		if now[2] == 0 && now[3] == 0 {
			return cost{float64(s.home.requests.Load() - requests), now[0] - before[0] - reads*reading, now[1] - before[1]}, nil
		}
		time.Sleep(time.Millisecond)
	}
}

// metricsOf reads some of Usher's metrics without labels, all at once.
func (s *subject) metricsOf(names ...string) ([]float64, error) {
	text, err := s.ask("/metrics")
	if err != nil {
		return nil, err
	}
	values := make([]float64, len(names))
	found := 0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := slices.Index(names, name); i >= 0 {
			found++
			if values[i], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, err
			}
		}
	}
	if found < len(names) {
		return nil, fmt.Errorf("not all of the metrics %v", names)
	}
	return values, nil
}
