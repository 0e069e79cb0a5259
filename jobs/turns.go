package jobs

import (
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Bounds of batches.
const (
	maxBatch   = 8           // rows of one Deliver call: they share their commits, and after a crash all of them are checked again
	quickTime  = time.Second // a server taking no longer for a row is quick
	maxQuick   = 10_000      // servers remembered
	perServer  = 4           // attempts at one other server at the same time
	upsideDown = 4           // each fourth turn begins with the least urgent rows, so these go on, too
)

// turns is the order of the waiting rows, and the shares of the attempts under way.
//
// Priorities go first, then actors take turns, and the servers of one actor. An actor has three quarters of the workers at most. Attempts
// which may take long need another server, not known to be quick: each is a batch of its own, and there are perServer at most for one
// server, a quarter of the workers for one actor, as much for all bulk, and half of them in all.
type turns struct {
	workers int
	waiting [invites.Priorities][]*share
	held    map[id.UserID]int // waiting rows
	picks   int
	quick   map[string]bool
	heavy   bool // the homeserver itself took long for its last batch, whose other rows were let go of
	running struct {
		actors, slowActors map[id.UserID]int
		servers            map[string]int
		slow, slowBulk     int
	}
}

// share is the rows of one actor with one priority, of one room where the actor's rooms take turns.
type share struct {
	actor id.UserID
	room  id.RoomID
	flows []*flow
}

// flow is the rows of a share in need of the same server.
type flow struct {
	server string
	rows   []invites.Turn
}

// batch is the rows of one Deliver call: of one actor, for one server.
type batch struct {
	rows   []invites.Turn
	actor  id.UserID
	server string
	slow   bool // it may take long
}

func newTurns(workers int) *turns {
	t := &turns{workers: workers, quick: map[string]bool{}, held: map[id.UserID]int{}}
	t.running.actors, t.running.slowActors, t.running.servers = map[id.UserID]int{}, map[id.UserID]int{}, map[string]int{}
	return t
}

// push appends a row.
func (t *turns) push(turn invites.Turn) {
	add(t.held, turn.Actor, 1)
	of := &t.waiting[turn.Priority]
	i := slices.IndexFunc(*of, func(s *share) bool { return s.actor == turn.Actor && s.room == turn.Room })
	if i < 0 {
		i = len(*of)
		*of = append(*of, &share{actor: turn.Actor, room: turn.Room})
	}
	s := (*of)[i]
	j := slices.IndexFunc(s.flows, func(f *flow) bool { return f.server == turn.Server })
	if j < 0 {
		j = len(s.flows)
		s.flows = append(s.flows, &flow{server: turn.Server})
	}
	s.flows[j].rows = append(s.flows[j].rows, turn)
}

// next takes the next batch, without rows if none may begin. The caller calls done when it is over.
func (t *turns) next() batch {
	order := []invites.Priority{invites.PriorityUrgent, invites.PriorityFew, invites.PriorityBulk}
	if t.picks++; t.picks%upsideDown == 0 {
		slices.Reverse(order)
	}
	for _, p := range order {
		for i, s := range t.waiting[p] {
			if b, ok := t.take(s); ok {
				t.waiting[p] = slices.Delete(t.waiting[p], i, i+1)
				if len(s.flows) > 0 {
					t.waiting[p] = append(t.waiting[p], s)
				}
				return b
			}
		}
	}
	return batch{}
}

// take takes a batch of one actor.
func (t *turns) take(s *share) (b batch, ok bool) {
	if t.running.actors[s.actor] >= max(1, t.workers*3/4) {
		return b, false
	}
	for i, f := range s.flows {
		slow := f.server != "" && !t.quick[f.server]
		if !t.allows(s.actor, f.server, slow, f.rows[0].Priority) {
			continue
		}
		n := maxBatch
		if slow || f.server == "" && t.heavy {
			n = 1
		}
		more := t.workers*3/4 - t.running.actors[s.actor]
		if f.server != "" {
			more = min(more, perServer-t.running.servers[f.server])
		}
		b = batch{rows: f.take(n, more), actor: s.actor, server: f.server, slow: slow}
		add(t.held, s.actor, -len(b.rows))
		s.flows = slices.Delete(s.flows, i, i+1)
		if len(f.rows) > 0 {
			s.flows = append(s.flows, f)
		}
		t.count(b, 1)
		return b, true
	}
	return b, false
}

// take takes up to n rows. Where several batches of the actor may run at the same time, each takes rows at a distance, so that together they go on in the
// order of the rows.
func (f *flow) take(n, batches int) (taken []invites.Turn) {
	step := max(1, min(batches, (len(f.rows)+n-1)/n))
	window := min(len(f.rows), step*n)
	put := window
	for i := window - 1; i >= 0; i-- {
		if i%step == 0 {
			taken = append(taken, f.rows[i])
		} else {
			put--
			f.rows[put] = f.rows[i]
		}
	}
	slices.Reverse(taken)
	f.rows = f.rows[len(taken):]
	return taken
}

// allows reports whether an attempt for an actor at a server fits into the shares.
func (t *turns) allows(actor id.UserID, server string, slow bool, p invites.Priority) bool {
	if server != "" && t.running.servers[server] >= perServer {
		return false
	}
	if !slow {
		return true
	}
	quarter := max(1, t.workers/4)
	return t.running.slow < max(1, t.workers/2) && t.running.slowActors[actor] < quarter && (p < invites.PriorityBulk || t.running.slowBulk < quarter)
}

// done ends a batch, which took some time.
func (t *turns) done(b batch, took time.Duration) {
	t.count(b, -1)
	switch {
	case b.server == "":
		t.heavy = took > quickTime
	case took > quickTime*time.Duration(len(b.rows)):
		delete(t.quick, b.server)
	default:
		if len(t.quick) >= maxQuick {
			clear(t.quick)
		}
		t.quick[b.server] = true
	}
}

// count adds n attempts to the shares of a batch.
func (t *turns) count(b batch, n int) {
	add(t.running.actors, b.actor, n)
	add(t.running.servers, b.server, n)
	if b.slow {
		add(t.running.slowActors, b.actor, n)
		t.running.slow += n
		if b.rows[0].Priority == invites.PriorityBulk {
			t.running.slowBulk += n
		}
	}
}

// add adds to a count, and forgets a count of 0.
func add[K comparable](counts map[K]int, of K, n int) {
	if counts[of] += n; counts[of] == 0 {
		delete(counts, of)
	}
}

// outages finds the end of an outage of the homeserver, at which the rows held up by it need not wait any longer.
type outages struct {
	streak int     // failed attempts in a row
	rows   []int64 // the rows of these attempts
}

// Bounds of outages.
const (
	outageStreak = 3
	outageRows   = 10_000
)

// after notes the outcomes of some rows. It returns the rows to try again at once.
func (o *outages) after(rows []int64, outcomes []invites.Outcome) (again []int64) {
	for i, outcome := range outcomes {
		switch {
		case outcome.Status == invites.StatusOpen && outcome.Code == invites.CodeTrouble:
			o.streak++
			if len(o.rows) < outageRows {
				o.rows = append(o.rows, rows[i])
			}
		case outcome.Status == invites.StatusDone && !outcome.Quiet, outcome.Status == invites.StatusRefused && !outcome.Quiet:
			if o.streak >= outageStreak {
				again = append(again, o.rows...)
			}
			o.streak, o.rows = 0, nil
		}
	}
	return again
}
