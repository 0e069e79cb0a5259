package difftest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"usher/room"
	"usher/room/roomtest"
)

var (
	cases = flag.Int("cases", 120_000, "random cases for each library")
	seed  = flag.Uint64("seed", 1, "seed of the random cases")
)

// outcome is what a library answers.
type outcome uint8

const (
	denied outcome = iota
	allowed
	panicked
)

func (o outcome) String() string { return [...]string{"deny", "allow", "panic"}[o] }

// deviation is one place where a library does not follow the specification. apply turns a case into what the library
// makes of it: the same case with another outcome, or another case, that the library takes it for.
type deviation struct {
	name  string
	apply func(p pair) pair
}

// answers is a deviation where the library answers o instead of what the rules say.
func answers(o outcome, when func(p pair) bool) func(pair) pair {
	return func(p pair) pair {
		if when(p) {
			p.outcome = o
		}
		return p
	}
}

func ask(library func(pair) error, p pair) (o outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			o, err = panicked, fmt.Errorf("panic: %v", r)
		}
	}()
	if err = library(p); err != nil {
		return denied, err
	}
	return allowed, nil
}

// compare runs the cases: the library must answer as room does, the deviations applied one after the other.
func compare(t *testing.T, library func(pair) error, deviations []deviation) {
	r := rand.New(rand.NewPCG(*seed, 0))
	found := make(map[string]int)
	failures, skipped := 0, 0
	for i := range *cases {
		p := newPair(roomtest.New(r))
		if p.Rule == room.RuleFormatCanonicalJSON {
			skipped++ // a check on receipt, which is no part of the libraries' rules
			continue
		}
		want := p
		var names []string
		for _, d := range deviations {
			next := d.apply(want)
			if next.outcome != want.outcome {
				found[d.name]++
				names = append(names, d.name)
			}
			want = next
		}
		if got, err := ask(library, p); got != want.outcome {
			t.Errorf("case %d: got %s (%v), want %s %q; room says %s\n%s", i, got, err, want.outcome, names, p.Rule, p)
			if failures++; failures > 10 {
				t.FailNow()
			}
		}
	}
	for _, d := range deviations {
		if found[d.name] == 0 {
			t.Errorf("deviation never seen: %s", d.name)
		}
		t.Logf("%6d × %s", found[d.name], d.name)
	}
	t.Logf("%d cases compared", *cases-skipped)
}

func TestMautrix(t *testing.T) { compare(t, mautrix, mautrixDeviations()) }

func TestGomatrixserverlib(t *testing.T) { compare(t, serverlib, serverlibDeviations()) }
