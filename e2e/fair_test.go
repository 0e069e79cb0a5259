package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/e2e/stub"
)

// times runs commands, one after the other each half a second, and returns how long each takes until all its targets are invited and it is
// answered, the longest last.
func (q *quick) times(name string, n, targets int, owner string) (took []time.Duration) {
	q.t.Helper()
	type command struct {
		in, said string
		guests   []string
		at       time.Time
	}
	var open []command
	for i := range n {
		c := command{in: q.Room(fmt.Sprint(name, i), owner), at: time.Now()}
		for g := range targets {
			c.guests = append(c.guests, fmt.Sprintf("@%s%d-%d:%s", name, i, g, q.Domain))
		}
		c.said = q.Say(c.in, owner, "!invite "+strings.Join(c.guests, " "))
		open = append(open, c)
		for end := c.at.Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			open = slices.DeleteFunc(open, func(c command) bool {
				done := q.done(c.in, c.said, c.guests)
				if done {
					took = append(took, time.Since(c.at))
				}
				return done
			})
		}
	}
	for _, c := range open {
		q.await(name+"'s command", time.Minute, func() bool { return q.done(c.in, c.said, c.guests) })
		took = append(took, time.Since(c.at))
	}
	slices.Sort(took)
	return took
}

// done reports whether a command has its reaction and its guests are invited.
func (q *quick) done(in, said string, guests []string) bool {
	for _, guest := range guests {
		if m, _ := q.Membership(in, guest); m != "invite" {
			return false
		}
	}
	reactions, _ := q.answers(in, said)
	return reactions > 0
}

// TestBulkOfDeadServer: while one user invites 500 people of a server that does not answer, in a soak 5,000, others' commands for ten people take
// at most twice the time that they take without it.
func TestBulkOfDeadServer(t *testing.T) {
	q := newQuick(t, nil)
	owner, bulk := "@owner:"+q.Domain, "@bulk:"+q.Domain
	in := q.Room("bulk", bulk)
	q.start()
	q.Script(stub.Fault{Latency: 20 * time.Millisecond, Serve: true})
	n := scaled(12, 100)
	last := n - 1 - max(1, n/100) // the machine may be busy
	alone := q.times("alone", n, 10, owner)
	q.Script(
		stub.Fault{In: in, Suffix: "/invite", Latency: 10 * time.Second, Status: 502, Body: `{"errcode":"M_UNKNOWN","error":"Failed to send invite"}`},
		stub.Fault{Latency: 20 * time.Millisecond, Serve: true},
	)
	var dead []string
	for i := range scaled(500, 5000) {
		dead = append(dead, fmt.Sprintf("@d%d:dead.example", i))
	}
	said := q.Say(in, bulk, "!invite "+strings.Join(dead, " "))
	q.confirmed(in, bulk, said)
	time.Sleep(time.Second)
	beside := q.times("beside", n, 10, owner)
	t.Logf("p50 %s, p99 %s; beside %d people of a dead server p50 %s, p99 %s", alone[n/2], alone[last], len(dead), beside[n/2], beside[last])
	if limit := 2*alone[last] + 500*time.Millisecond; beside[last] > limit {
		t.Errorf("p99 is %s, more than %s", beside[last], limit)
	}
	q.await("the name of the server that does not answer", 30*time.Second, func() bool {
		for _, e := range q.Events(in, func(e stub.Event) bool { return e.Sender == string(q.Usher.Bot) }) {
			if strings.Contains(string(e.Content), "dead.example does not answer yet") {
				return true
			}
		}
		return false
	})
	if reactions, _ := q.answers(in, said); reactions > 0 {
		t.Error("the command of the dead server has a reaction")
	}
}

// TestForbiddenPages: whatever a proxy answers with 403 for a while, no command is lost, and the room is not held for closed afterwards.
func TestForbiddenPages(t *testing.T) {
	q := newQuick(t, nil)
	owner := "@owner:" + q.Domain
	for name, body := range map[string]string{"a page": "<html>", "nothing": "", "unknown": `{"errcode":"M_UNKNOWN"}`, "other JSON": `{"message":"blocked"}`} {
		in := q.Room(strings.ReplaceAll(name, " ", ""), owner)
		if !q.Usher.Running() {
			q.start()
		}
		q.Script(stub.Fault{In: in, Status: 403, Body: body})
		var said, guests []string
		for i := range scaled(5, 40) {
			guests = append(guests, fmt.Sprintf("@%s%d:%s", strings.ReplaceAll(name, " ", ""), i, q.Domain))
			said = append(said, q.Say(in, owner, "!invite "+guests[i]))
		}
		time.Sleep(scaled(2*time.Second, 10*time.Second))
		q.Script()
		for i := range said {
			q.await(name+": the answer", time.Minute, func() bool { return q.done(in, said[i], guests[i:i+1]) })
		}
	}
}

// TestSilentServerDoesNotHoldTheRoom: others in a room wait a few seconds at most for the server of somebody who is invited there, and the
// one who asked is told which server it is.
func TestSilentServerDoesNotHoldTheRoom(t *testing.T) {
	q := newQuick(t, nil)
	owner, other := "@owner:"+q.Domain, "@other:"+q.Domain
	in := q.Room("silent", owner, other)
	q.start()
	q.Script(stub.Fault{In: in, Suffix: "/invite", Latency: 20 * time.Second, Status: 502, Body: `{"errcode":"M_UNKNOWN"}`})
	start := time.Now()
	said := q.Say(in, owner, "!invite @x:silent.example @y:silent.example")
	ping := q.Say(in, other, "!ping")
	q.await("the answer to !ping", 10*time.Second, func() bool { _, n := q.answers(in, ping); return n == 1 })
	t.Logf("!ping is answered after %s", time.Since(start))
	if _, n := q.answers(in, said); n != 1 {
		t.Errorf("%d answers to the one who asked", n)
	}
	q.await("the name of the server", time.Second, func() bool {
		return len(q.Events(in, func(e stub.Event) bool {
			return strings.Contains(string(e.Content), "silent.example does not answer yet")
		})) > 0
	})
}

// TestDeadAliasesHoldNobody: one person names aliases of dead servers in more rooms than run at a time, four others in as many as each may. Somebody
// else is answered meanwhile, in a room of their own.
func TestDeadAliasesHoldNobody(t *testing.T) {
	q := newQuick(t, nil)
	owner := "@owner:" + q.Domain
	quiet := q.Room("quiet", owner)
	var rooms, people []string
	for i := range 128 {
		people = append(people, fmt.Sprintf("@stranger%d:%s", max(0, i-64)/16, q.Domain))
		rooms = append(rooms, q.Room(fmt.Sprint("held", i), people[i]))
	}
	q.start()
	q.Script(stub.Fault{In: "/directory/room/", Latency: 30 * time.Second, Status: 502, Body: `{"errcode":"M_UNKNOWN"}`})
	var said []string
	for i, in := range rooms {
		said = append(said, q.Say(in, people[i], fmt.Sprintf("!join #x:dead%d.example", i)))
	}
	time.Sleep(500 * time.Millisecond)
	start := time.Now()
	ping := q.Say(quiet, owner, "!ping")
	q.await("the answer to !ping", 8*time.Second, func() bool { _, n := q.answers(quiet, ping); return n == 1 })
	t.Logf("answered after %s", time.Since(start))
	q.await("an answer to one who holds lanes", 10*time.Second, func() bool { _, n := q.answers(rooms[0], said[0]); return n == 1 })
}

// TestSlowRooms: the requests about six rooms take long, and others are answered as ever.
func TestSlowRooms(t *testing.T) {
	q := newQuick(t, nil)
	owner, alice := "@owner:"+q.Domain, "@alice:"+q.Domain
	var rooms []string
	var faults []stub.Fault
	for i := range 6 {
		rooms = append(rooms, q.Room(fmt.Sprint("slow", i), fmt.Sprint(owner, i)))
		faults = append(faults, stub.Fault{In: rooms[i], Latency: scaled(8*time.Second, 20*time.Second), Serve: true})
	}
	q.start()
	q.Script(faults...)
	for i, in := range rooms {
		for g := range 5 {
			q.Say(in, fmt.Sprint(owner, i), fmt.Sprintf("!invite @g%d:%s", g, q.Domain))
		}
	}
	time.Sleep(500 * time.Millisecond)
	n := scaled(8, 60)
	took := q.times("quick", n, 1, alice)
	t.Logf("p50 %s, longest %s", took[n/2], took[n-1])
	if took[n-2] > 2*time.Second {
		t.Errorf("others wait %s", took[n-2])
	}
}
