package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// How many people one command names, in its words and in a file.
const (
	inviteMany  = 5000
	inviteFiled = 10_000
)

// many has one command invite many people, and has net/http alone post as many invitations.
func (b *bench) many(w string) error {
	home, err := openHomeserver()
	if err != nil {
		return err
	}
	poster := &subject{name: "net/http", home: home, stop: func() {}}
	return b.lists(w, inviteMany, false, poster)
}

// manyFromFile has one command invite the people of a file.
func (b *bench) manyFromFile(w string) error { return b.lists(w, inviteFiled, true) }

// lists measures a command that invites so many people, up to its last word. Each round has a Usher of its own, since memory once taken stays.
func (b *bench) lists(w string, people int, filed bool, others ...*subject) error {
	set := map[string]any{"metrics.enabled": true}
	for range b.rounds {
		usher, err := b.startUsher("usher", set)
		if err != nil {
			return err
		}
		subjects, err := b.besideBase(set, append([]*subject{usher}, others...)...)
		if err != nil {
			return err
		}
		once := *b
		once.rounds = 1
		err = once.interleave(subjects, func(s *subject) error {
			start := time.Now()
			if s.usher == nil {
				err := exec.Command(b.binary("yardstick"), "-kind", "post", "-homeserver", s.home.url, "-count", strconv.Itoa(people)).Run()
				b.table.add(w, "invites/s", "", s.name, float64(people)/time.Since(start).Seconds())
				return err
			}
			return b.list(w, s, people, filed)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// list gives one command for many people, and measures until all are invited and its outcomes are told.
func (b *bench) list(w string, s *subject, people int, filed bool) error {
	if _, err := orders(s, 10, 10); err != nil { // the state of the room is known
		return err
	}
	time.Sleep(time.Second)
	idle := s.rss()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid), []byte("5"), 0); err != nil { // the highest memory counts from here
		return err
	}
	var shown, all time.Duration
	spent, err := s.costOf(func() (err error) {
		shown, all, err = inviteAll(s, people, filed)
		return err
	})
	if err != nil {
		return err
	}
	b.table.add(w, "invites/s", "", s.name, float64(people)/all.Seconds())
	b.table.add(w, "until the preview", "ms", s.name, float64(shown.Milliseconds()))
	b.table.add(w, "✅ to the outcomes", "ms", s.name, float64(all.Milliseconds()))
	b.table.add(w, "requests", "", s.name, spent.requests)
	b.table.add(w, "SQL statements", "", s.name, spent.statements)
	b.table.add(w, "flushes", "", s.name, spent.flushes)
	b.table.add(w, "memory above idle", "MiB", s.name, s.status("VmHWM")/1024-idle)
	return nil
}

// inviteAll gives the command, confirms its preview, and waits until everybody is invited and the file with the outcomes is there.
func inviteAll(s *subject, people int, filed bool) (shown, all time.Duration, err error) {
	p, err := dial(s)
	if err != nil {
		return 0, 0, err
	}
	defer p.close()
	room, event := roomID(0), fmt.Sprintf("$%043d", serial.Add(1))
	var named strings.Builder
	var arrive []<-chan time.Time
	for range people {
		target := fmt.Sprintf("@g%d", serial.Add(1)) // as short as people type them: a message has 64 KiB
		if arrive = append(arrive, s.home.expect(target+":"+domain)); filed {
			fmt.Fprintf(&named, "%s:%s\n", target, domain)
		} else {
			named.WriteString(" " + target)
		}
	}
	given := command(event, room, "!invite"+named.String())
	if filed {
		s.home.mu.Lock()
		s.home.file = named.String()
		s.home.mu.Unlock()
		given = list(event, room, named.Len())
	}
	preview, outcomes := s.home.expect("preview"), s.home.expect("upload")
	start := time.Now()
	if err := p.push(transaction([]string{given})); err != nil {
		return 0, 0, err
	}
	at, err := wait(preview)
	if err != nil {
		return 0, 0, fmt.Errorf("the preview: %w", err)
	}
	shown, start = at.Sub(start), time.Now()
	s.home.mu.Lock()
	react := confirmation(fmt.Sprintf("$%043d", serial.Add(1)), room, s.home.preview)
	s.home.react = react
	s.home.mu.Unlock()
	if err := p.push(transaction([]string{react})); err != nil {
		return 0, 0, err
	}
	if err := waitAll(append(arrive, outcomes)); err != nil {
		return 0, 0, err
	}
	return shown, time.Since(start), nil
}
