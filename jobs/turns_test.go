package jobs

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// simulation runs turns by a clock of its own: an attempt takes as long as its server.
type simulation struct {
	turns *turns
	free  int
	now   time.Duration
	takes map[string]time.Duration // by server
	busy  ends
	ended map[int64]time.Duration // by row
	most  map[string]int          // attempts at one server at the same time
}

type end struct {
	at time.Duration
	batch
	began time.Duration
}

type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newSimulation(workers int, takes map[string]time.Duration) *simulation {
	return &simulation{turns: newTurns(workers), free: workers, takes: takes, ended: map[int64]time.Duration{}, most: map[string]int{}}
}

// run lets time pass. Rows that are not carried out within a second of a batch are queued again, as Deliver lets go of them.
func (s *simulation) run(until time.Duration) {
	for {
		for s.free > 0 {
			b := s.turns.next()
			if len(b.rows) == 0 {
				break
			}
			s.free--
			one := max(s.takes[b.server], 20*time.Millisecond)
			n := min(len(b.rows), int(time.Second/one)+1)
			for _, left := range b.rows[n:] {
				s.turns.push(left)
			}
			heap.Push(&s.busy, end{at: s.now + time.Duration(n)*one, batch: b, began: s.now})
			s.most[b.server] = max(s.most[b.server], s.turns.running.servers[b.server])
		}
		if len(s.busy) == 0 || s.busy[0].at > until {
			s.now = until
			return
		}
		e := heap.Pop(&s.busy).(end)
		s.now = e.at
		s.free++
		s.turns.done(e.batch, e.at-e.began)
		for _, t := range e.rows {
			s.ended[t.Row] = s.now
		}
	}
}

// push queues rows of one request.
func (s *simulation) push(first, n int64, p invites.Priority, actor id.UserID, server func(int64) string) {
	for row := first; row < first+n; row++ {
		s.turns.push(invites.Turn{Row: row, Priority: p, Actor: actor, Server: server(row)})
	}
}

func on(server string) func(int64) string { return func(int64) string { return server } }

// p99 returns how long the slowest request but one in a hundred takes: a hundred requests of ten rows each, one each 100 ms, by ten actors.
func p99(s *simulation) time.Duration {
	began, first := map[int64]time.Duration{}, int64(1_000_000)
	for i := range int64(100) {
		row := first + i*10
		began[row] = s.now
		s.push(row, 10, invites.PriorityFew, id.UserID(fmt.Sprintf("@actor%d:x", i%10)), on([]string{"", "quick.example"}[i%2]))
		s.run(s.now + 100*time.Millisecond)
	}
	s.run(s.now + time.Minute)
	var took []time.Duration
	for row, at := range began {
		last := time.Duration(0)
		for r := row; r < row+10; r++ {
			if s.ended[r] == 0 {
				return 1<<62 - 1
			}
			last = max(last, s.ended[r])
		}
		took = append(took, last-at)
	}
	slices.Sort(took)
	return took[98]
}

// TestBulkDelaysNobody: while others invite thousands of people of servers that do not answer, commands for ten people take at most twice
// their time.
func TestBulkDelaysNobody(t *testing.T) {
	const dead = 30 * time.Second
	takes := map[string]time.Duration{"dead.example": dead}
	for i := range 5000 {
		takes[fmt.Sprint("dead", i)] = dead
	}
	alone := p99(newSimulation(16, takes))
	for name, bulk := range map[string]func(s *simulation){
		"5,000 people of one dead server": func(s *simulation) { s.push(1, 5000, invites.PriorityBulk, "@bulk:x", on("dead.example")) },
		"of 5,000 dead servers": func(s *simulation) {
			s.push(1, 5000, invites.PriorityBulk, "@bulk:x", func(row int64) string { return fmt.Sprint("dead", row-1) })
		},
		"by twenty people": func(s *simulation) {
			for i := range int64(20) {
				s.push(1+i*250, 250, invites.PriorityBulk, id.UserID(fmt.Sprintf("@bulk%d:x", i)), func(row int64) string { return fmt.Sprint("dead", row-1) })
			}
		},
		"by many small requests": func(s *simulation) {
			for i := range int64(50) {
				s.push(1+i*10, 10, invites.PriorityFew, id.UserID(fmt.Sprintf("@bulk%d:x", i%5)), on("dead.example"))
			}
		},
		"5,000 people of the own server": func(s *simulation) { s.push(1, 5000, invites.PriorityBulk, "@bulk:x", on("")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(16, takes)
			bulk(s)
			s.run(100 * time.Millisecond)
			got := p99(s)
			t.Logf("%s, without it %s", got, alone)
			if got > 2*alone {
				t.Errorf("p99 %s, without it %s", got, alone)
			}
			if s.most["dead.example"] > perServer {
				t.Errorf("%d attempts at one server at the same time", s.most["dead.example"])
			}
		})
	}
}

// TestUrgentGoesFirst: the guard passes a crowd of requests, and the crowd goes on nevertheless.
func TestUrgentGoesFirst(t *testing.T) {
	s := newSimulation(2, nil)
	s.push(1, 1000, invites.PriorityBulk, "@bulk:x", on(""))
	s.push(2001, 1000, invites.PriorityFew, "@few:x", on(""))
	s.push(5001, 100, invites.PriorityUrgent, "@usher:x", on(""))
	s.run(3 * time.Second)
	done := func(first, last int64) (n int) {
		for row := first; row <= last; row++ {
			if s.ended[row] > 0 {
				n++
			}
		}
		return n
	}
	urgent, few, bulk := done(5001, 5100), done(2001, 3000), done(1, 1000)
	if urgent < 100 || few < bulk || bulk == 0 {
		t.Errorf("%d urgent rows, %d of few, %d of bulk", urgent, few, bulk)
	}
}

// TestRoomsOfOneActorTakeTurns: thousands of the bot's own rows about one room keep those about another waiting for one batch.
func TestRoomsOfOneActorTakeTurns(t *testing.T) {
	s := newTurns(1)
	for row := range int64(5001) {
		in := id.RoomID("!many")
		if row == 5000 {
			in = "!one"
		}
		s.push(invites.Turn{Row: row, Priority: invites.PriorityBulk, Actor: "@usher:x", Room: in})
	}
	if s.held["@usher:x"] != 5001 {
		t.Errorf("%d rows counted", s.held["@usher:x"])
	}
	s.done(s.next(), 0)
	if b := s.next(); len(b.rows) != 1 || b.rows[0].Room != "!one" {
		t.Errorf("%d rows of %s are next", len(b.rows), b.rows[0].Room)
	} else if s.done(b, 0); s.held["@usher:x"] != 5001-1-maxBatch {
		t.Errorf("%d rows counted", s.held["@usher:x"])
	}
}

// TestOutageEnds: rows that an outage kept waiting are tried again as soon as the homeserver answers, a row with trouble of its own is not.
func TestOutageEnds(t *testing.T) {
	trouble, done := invites.Outcome{Status: invites.StatusOpen, Code: invites.CodeTrouble}, invites.Outcome{Status: invites.StatusDone}
	var o outages
	o.after([]int64{1, 2}, []invites.Outcome{trouble, trouble})
	if got := o.after([]int64{3}, []invites.Outcome{done}); len(got) > 0 {
		t.Errorf("after two: %v", got)
	}
	o.after([]int64{1, 2, 3, 4}, []invites.Outcome{trouble, trouble, trouble, trouble})
	if got := o.after([]int64{5, 6}, []invites.Outcome{done, done}); !slices.Equal(got, []int64{1, 2, 3, 4}) {
		t.Errorf("after an outage: %v", got)
	}
}

// TestSlowHomeserver: while the homeserver itself is slow, a batch is one row, so that no rows are claimed only to be let go of.
func TestSlowHomeserver(t *testing.T) {
	turns := newTurns(4)
	for row := range int64(40) {
		turns.push(invites.Turn{Row: row, Actor: "@a:here", Priority: invites.PriorityBulk})
	}
	for i, took := range []time.Duration{2 * time.Second, 2 * time.Second, 100 * time.Millisecond, 0} {
		b := turns.next()
		if want := []int{maxBatch, 1, 1, maxBatch}[i]; len(b.rows) != want {
			t.Errorf("batch %d has %d rows, expected %d", i, len(b.rows), want)
		}
		turns.done(b, took)
	}
}

// TestRowsOfOneGoInOrder: the batches of one actor that run side by side send in the order of the rows, but for as many as run at the same time.
func TestRowsOfOneGoInOrder(t *testing.T) {
	const rows, workers = 200, 16
	for _, server := range []string{"", "other"} {
		s := newSimulation(workers, nil)
		for i := range rows {
			s.turns.push(invites.Turn{Row: int64(i), Actor: "@one:here", Server: server, Priority: invites.PriorityBulk})
		}
		var order []int64
		begun := map[int64]int{}
		for len(order) < rows {
			var running []batch
			for b := s.turns.next(); len(b.rows) > 0; b = s.turns.next() {
				running = append(running, b)
			}
			for i := range maxBatch { // each sends one, then the next
				for _, b := range running {
					if i < len(b.rows) {
						begun[b.rows[i].Row] = len(order)
						order = append(order, b.rows[i].Row)
					}
				}
			}
			for _, b := range running {
				s.turns.done(b, time.Millisecond)
			}
		}
		for row, at := range begun {
			if off := int(row) - at; off < -workers || off > workers {
				t.Errorf("server %q: row %d was sent as number %d", server, row, at)
			}
		}
	}
}
