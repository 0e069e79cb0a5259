package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/e2e/stub"
)

// point is where a process is killed: at a request, after a transaction's 200, or so long after something.
type point struct {
	name  string
	fault *stub.Fault   // its Call is set; nil: by time
	start time.Duration // after the launch, before it is ready
	ready time.Duration // after it was ready
	taken bool          // after the next 200
	term  time.Duration // so long after SIGTERM, after ready
}

// points draws one of the places to be killed at.
func points(r *rand.Rand) point {
	nth := r.IntN(4)
	switch kind := r.IntN(10); kind {
	case 0, 1:
		return point{name: fmt.Sprintf("between claim and act %d", nth), fault: &stub.Fault{Suffix: "/invite", From: nth}}
	case 2, 3:
		return point{name: fmt.Sprintf("between act and settle %d", nth), fault: &stub.Fault{Suffix: "/invite", From: nth, After: true}}
	case 4:
		return point{name: fmt.Sprintf("before answer %d", nth), fault: &stub.Fault{Method: "PUT", From: nth}}
	case 5:
		return point{name: fmt.Sprintf("after answer %d", nth), fault: &stub.Fault{Method: "PUT", From: nth, After: true}}
	case 6:
		return point{name: "after the 200", taken: true}
	case 7:
		return point{name: "at start", start: time.Duration(r.IntN(150)) * time.Millisecond}
	case 8:
		return point{name: "during shutdown", ready: time.Duration(r.IntN(20)) * time.Millisecond, term: time.Duration(1+r.IntN(20)) * time.Millisecond}
	}
	return point{name: "some time", ready: time.Duration(r.IntN(100)) * time.Millisecond}
}

// killedAt starts Usher, has say speak, and kills it at the point, or soon where that does not come.
func (q *quick) killedAt(p point, say func()) (hit bool) {
	q.t.Helper()
	hit = true
	reached, gone := make(chan struct{}), make(chan struct{})
	if p.fault != nil {
		var once sync.Once
		p.fault.Call = func() {
			once.Do(func() { close(reached) })
			<-gone
		}
		p.fault.Reset = true
		q.Script(*p.fault)
	}
	before, _ := q.Taken()
	if p.start > 0 {
		say()
		if err := q.Usher.Launch(); err != nil {
			q.t.Fatal(err)
		}
		<-time.After(p.start) // the moment is what is tested
	} else {
		q.start()
		say()
		hit = q.until(p, before, reached)
	}
	if p.term > 0 {
		_ = q.Usher.StopWithin(p.term) // it says that it had to kill
	} else {
		q.Usher.Kill()
	}
	close(gone)
	q.Script()
	return hit
}

// until waits for a point that comes after the start, and reports whether it came.
func (q *quick) until(p point, before int, reached <-chan struct{}) bool {
	soon := time.After(300 * time.Millisecond)
	switch {
	case p.taken:
		for n, _ := q.Taken(); n == before; n, _ = q.Taken() {
			select {
			case <-time.After(time.Millisecond):
			case <-soon:
				return false
			}
		}
	case p.fault != nil:
		select {
		case <-reached:
		case <-soon:
			return false
		}
	default:
		<-time.After(p.ready)
	}
	return true
}

// TestKilledTwoHundredTimes: while 500 invitations flow, Usher is killed (kill -9) at seeded places. None is lost, none sent
// again once it took effect, the audit is complete, and each command is answered once.
func TestKilledTwoHundredTimes(t *testing.T) {
	kills, seed := number("USHER_E2E_KILLS", 200), number("USHER_E2E_SEED", 1)
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	q := newQuick(t, nil)
	var rooms []string
	for i := range 10 {
		rooms = append(rooms, q.Room(fmt.Sprint("room", i), fmt.Sprintf("@owner%d:%s", i, q.Domain)))
	}
	invited := map[string][]string{} // by command
	where := map[string]string{}
	total := 0
	say := func(round int) {
		n := 2
		switch {
		case round%10 == 0:
			n = 8 // more than are delivered at once
		case round%10 == 9:
			n = 1
		}
		command := "!invite"
		var targets []string
		for range n {
			targets = append(targets, fmt.Sprintf("@guest%d:%s", total, q.Domain))
			command += " " + targets[len(targets)-1]
			total++
		}
		i := r.IntN(len(rooms))
		id := q.Say(rooms[i], fmt.Sprintf("@owner%d:%s", i, q.Domain), command)
		invited[id], where[id] = targets, rooms[i]
	}
	names := map[string]int{}
	for round := range kills {
		p := points(r)
		if q.killedAt(p, func() { say(round) }) {
			names[strings.TrimRight(p.name, " 0123456789")]++
		} else {
			names["where it was idle"]++
		}
		if n, _ := q.Taken(); n > 0 && round%20 == 19 {
			q.start()
			if status, err := q.Again(t.Context(), r.IntN(n)); err != nil || status != 200 {
				t.Errorf("a transaction again: %d %v", status, err)
			}
			q.Usher.Kill()
		}
	}
	q.start()
	start := time.Now()
	q.await("all answers", 2*time.Minute, func() bool {
		for id, in := range where {
			if reactions, _ := q.answers(in, id); reactions == 0 {
				return false
			}
		}
		return true
	})
	t.Logf("%d kills (seed %d): %v; %d invitations of %d commands; the last answer %s after the last start", kills, seed, names, total, len(where), time.Since(start))
	if err := q.Usher.Stop(); err != nil {
		t.Error(err)
	}
	q.nothingLost(invited, where)
}

// number reads a number from the environment.
func number(name string, other int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return other
}

// nothingLost checks what became of commands' invitations.
func (q *quick) nothingLost(invited map[string][]string, where map[string]string) {
	q.t.Helper()
	total := 0
	for command, targets := range invited {
		total += len(targets)
		for _, target := range targets {
			if m, by := q.Membership(where[command], target); m != "invite" || !strings.HasPrefix(by, "@owner") {
				q.t.Errorf("%s is %q by %q", target, m, by)
			}
		}
		if reactions, notices := q.answers(where[command], command); reactions != 1 || notices > 1 {
			q.t.Errorf("%s was answered by %d reactions and %d notices", command, reactions, notices)
		}
	}
	if again := q.SentAgain(); len(again) > 0 {
		q.t.Errorf("%d were sent again after they took effect: %v", len(again), again)
	}
	for query, want := range map[string]int{
		`SELECT COUNT(*) FROM invitation`:                                                                total,
		`SELECT COUNT(*) FROM invitation WHERE status = 'done'`:                                          total,
		`SELECT COUNT(*) FROM audit WHERE kind = 'decision' AND verdict = 'allow'`:                       total,
		`SELECT COUNT(DISTINCT command || target) FROM audit WHERE kind = 'effect' AND verdict = 'done'`: total,
		`SELECT COUNT(*) FROM audit WHERE kind = 'effect' AND verdict = 'done'`:                          total,
		`SELECT COUNT(*) FROM inbox WHERE NOT handled`:                                                   0,
		`SELECT COUNT(*) FROM invitation i WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.command = i.command AND a.target = i.target AND a.kind = 'decision')`: 0,
	} {
		if n := q.count(query); n != want {
			q.t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
}

// TestKilledDuringMigration: a first start that is killed at any moment leaves a database that the next one brings up to date.
func TestKilledDuringMigration(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(number("USHER_E2E_SEED", 1)), 1))
	for range number("USHER_E2E_KILLS", 200) / 20 {
		q := newQuick(t, nil)
		in := q.Room("room", "@owner:"+q.Domain)
		for range 3 {
			if err := q.Usher.Launch(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(r.IntN(80)) * time.Millisecond) // the moment is what is tested
			q.Usher.Kill()
		}
		q.start()
		q.answered(in, q.Say(in, "@owner:"+q.Domain, "!invite @guest:"+q.Domain))
		q.Usher.Kill()
	}
}
