// Bench measures Usher and yardsticks side by side: the same work, round by round in turn, and prints medians with ratios.
// The machine's noise hits all alike, so it is the ratios that count. docs/performance.md tells how each figure is made.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	homeservers "usher/e2e/homeserver"
)

// work is one thing to measure.
type work struct {
	name string
	run  func(b *bench, w string) error
}

func works() []work {
	return []work{
		{"cost", (*bench).costs},
		{"real Dendrite", func(b *bench, w string) error { return b.real(w, homeservers.Dendrite) }},
		{"real Synapse", func(b *bench, w string) error { return b.real(w, homeservers.Synapse) }},
		{"ingest 1", func(b *bench, w string) error { return b.ingest(w, 1) }},
		{"ingest 10", func(b *bench, w string) error { return b.ingest(w, 10) }},
		{"ingest 100", func(b *bench, w string) error { return b.ingest(w, 100) }},
		{"ingest 100, 1 % commands", (*bench).ingestCommands},
		{"command, idle", func(b *bench, w string) error { return b.commands(w, 1, 20*time.Millisecond) }},
		{"command, back to back", func(b *bench, w string) error { return b.commands(w, 1, 0) }},
		{"command, 32 in flight", func(b *bench, w string) error { return b.commands(w, 32, 0) }},
		{"command, 32 in flight in one room", func(b *bench, w string) error { return b.oneRoom(w, 32) }},
		{"5,000 invites by one command", (*bench).many},
		{"10,000 people from a file", (*bench).manyFromFile},
		{"start-up", (*bench).startUp},
		{"room of 100,000 members", (*bench).hugeRoom},
		{"growth of the ledger", (*bench).growLedger},
		{"growth of the rooms", (*bench).growRooms},
		{"growth of policy lists", (*bench).growRules},
		{"24 hours of 50 events/s", (*bench).day},
	}
}

// bench is one run.
type bench struct {
	rounds int
	length time.Duration // of one subject's turn
	dir    string        // temporary
	bin    string        // folder of the programs
	table  *table

	base     string // another usher to measure beside; empty: none
	profiles string // folder for profiles of Usher in the last round; empty: none
	work     string // that is measured
}

func (b *bench) binary(name string) string { return filepath.Join(b.bin, name) }

func main() {
	rounds := flag.Int("rounds", 5, "how often each subject has its turn")
	length := flag.Duration("length", 700*time.Millisecond, "of one turn")
	only := flag.String("only", ".", "regular expression of the works to run")
	bin := flag.String("bin", "../bin", "folder with usher, yardstick and yardstick-jsonv2")
	profiles := flag.String("profiles", "", "folder for profiles of Usher: CPU in its last turn at each work (take longer turns for them), memory where it might grow")
	base := flag.String("base", "", "another version of usher, measured in turn with this one; empty: none")
	flag.Parse()
	if err := run(*rounds, *length, *only, *bin, *base, *profiles); err != nil {
		log.Fatal(err)
	}
}

func run(rounds int, length time.Duration, only, bin, base, profiles string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{rounds: rounds, length: length, dir: dir, bin: bin, table: &table{}, base: base, profiles: profiles}
	err = errors.Join(os.Setenv("USHER_E2E_USHER", b.binary("usher")), os.Setenv("USHER_E2E_DENDRITE", b.binary("dendrite")))
	if err != nil {
		return err
	}
	var failed error
	for _, w := range works() {
		if !match.MatchString(w.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), w.name)
		b.work = w.name
		if err := w.run(b, w.name); err != nil { // the other works have their figures all the same
			failed = errors.Join(failed, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	b.table.print(os.Stdout)
	return failed
}

// profileOf names a file for a profile of a subject at the work that is measured.
func (b *bench) profileOf(subject, kind string) string {
	return filepath.Join(b.profiles, strings.ReplaceAll(b.work, "/", " per ")+", "+subject+"."+kind)
}

// heap keeps what a Usher's memory is in use for, after a garbage collection, if profiles are wanted.
func (b *bench) heap(s *subject, name string) error {
	if b.profiles == "" {
		return nil
	}
	text, err := s.ask("/debug/pprof/heap?gc=1") // and, by -sample_index=alloc_space, what has been allocated since the start
	return errors.Join(err, os.WriteFile(b.profileOf(name, "heap.pprof"), text, 0o600))
}

// interleave gives each subject its turns, and stops them all.
func (b *bench) interleave(subjects []*subject, turn func(*subject) error) error {
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	for round := range b.rounds {
		for _, s := range subjects {
			profiled := func() error { return nil }
			if b.profiles != "" && s.metrics != "" && round == b.rounds-1 {
				profiled = s.profile(b.profileOf(s.name, "pprof"), b.length)
			}
			if err := errors.Join(turn(s), profiled()); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if b.profiles != "" && s.metrics != "" {
				if err := b.heap(s, s.name); err != nil {
					return err
				}
			}
			s.home.forget()
		}
	}
	return nil
}
