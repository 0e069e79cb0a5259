package e2e

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/e2e/harness"
	"usher/e2e/stub"
)

// replicas are Ushers with one database and the same tokens, behind one stub homeserver.
func replicas(t *testing.T, n int, uri string) (*stub.Server, []*harness.Usher) {
	t.Helper()
	s, err := stub.Start("usher.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	set := m{"encryption.enabled": false, "commands.per_minute": 0, "commands.answers_per_minute": 0, "database.type": "postgres", "database.uri": uri}
	for _, token := range []string{"appservice.as_token", "appservice.hs_token", "puppet.as_token", "puppet.hs_token"} {
		set[token] = "a-token-that-all-replicas-know-" + token
	}
	var all []*harness.Usher
	var urls []string
	for range n {
		u, registrations, err := harness.NewUsher(t.Context(), harness.Setup{Dir: t.TempDir(), Domain: s.Domain, Homeserver: s.URL, Puppet: true, Set: set})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Register(registrations); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if u.Running() {
				u.Kill()
			}
			if t.Failed() {
				t.Logf("a replica's log ends with:\n%s", u.Tail(20))
			}
		})
		all, urls = append(all, u), append(urls, u.URL())
	}
	s.PushTo(urls...)
	return s, all
}

// TestKilledReplicas: three replicas on one PostgreSQL, of which one is killed every now and then while invitations flow. None is lost
// or sent again, each command is answered once, and each room's commands in their order.
func TestKilledReplicas(t *testing.T) {
	uri := os.Getenv("USHER_E2E_POSTGRES")
	if uri == "" {
		t.Skip("no PostgreSQL: make test-postgres has one")
	}
	r := rand.New(rand.NewPCG(uint64(number("USHER_E2E_SEED", 1)), 2))
	uri, err := harness.NewDatabase(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, all := replicas(t, 3, uri)
	var starting sync.WaitGroup
	for _, u := range all { // at once: one of them makes the tables
		starting.Go(func() {
			if err := u.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	q := &quick{Server: s, Usher: all[0], t: t}
	var rooms []string
	for i := range 8 {
		rooms = append(rooms, s.Room(fmt.Sprint("replicas", i), fmt.Sprintf("@owner%d:%s", i, s.Domain)))
	}
	order, targets, total := map[string][]string{}, map[string][]string{}, 0
	for range number("USHER_E2E_KILLS", 200) / 8 {
		for range 4 {
			i := r.IntN(len(rooms))
			command := "!invite"
			var guests []string
			for range 1 + r.IntN(7) {
				guests = append(guests, fmt.Sprintf("@replicated%d:%s", total, s.Domain))
				total++
			}
			said := s.Say(rooms[i], fmt.Sprintf("@owner%d:%s", i, s.Domain), command+" "+strings.Join(guests, " "))
			order[rooms[i]], targets[said] = append(order[rooms[i]], said), guests
		}
		u := all[r.IntN(len(all))]
		<-time.After(time.Duration(r.IntN(120)) * time.Millisecond) // the moment is what is tested
		u.Kill()
		if err := u.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	q.await("all answers", 3*time.Minute, func() bool {
		for in, list := range order {
			for _, said := range list {
				if reactions, _ := q.answers(in, said); reactions == 0 {
					return false
				}
			}
		}
		return true
	})
	t.Logf("%d invitations of %d commands; the last answer %s after the last kill", total, len(targets), time.Since(start))
	for in, list := range order {
		for _, said := range list {
			if reactions, notices := q.answers(in, said); reactions != 1 || notices > 1 {
				t.Errorf("%s: %d reactions, %d notices", said, reactions, notices)
			}
			for _, guest := range targets[said] {
				if m, _ := s.Membership(in, guest); m != "invite" {
					t.Errorf("%s is %q", guest, m)
				}
			}
		}
		q.inOrder(in, list, targets)
	}
	if again := s.SentAgain(); len(again) > 0 {
		t.Errorf("sent again after they took effect: %v", again)
	}
	q.audited(uri, total)
}

// inOrder checks that the first invitations of a room's commands came in the order of the commands.
func (q *quick) inOrder(in string, commands []string, targets map[string][]string) {
	q.t.Helper()
	at := map[string]int{}
	for i, e := range q.Events(in, func(e stub.Event) bool { return e.Type == "m.room.member" && e.StateKey != nil }) {
		at[*e.StateKey] = i
	}
	last := -1
	for _, said := range commands {
		first := at[targets[said][0]]
		if first < last {
			q.t.Errorf("%s: %s acted before the one before it", in, said)
		}
		last = first
	}
}

// audited checks the audit of the replicas' invitations.
func (q *quick) audited(uri string, total int) {
	q.t.Helper()
	db, err := sql.Open("postgres", uri)
	if err != nil {
		q.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for query, want := range map[string]int{
		`SELECT COUNT(*) FROM invitation WHERE target LIKE '@replicated%' AND status = 'done'`:                               total,
		`SELECT COUNT(*) FROM audit WHERE target LIKE '@replicated%' AND kind = 'decision'`:                                  total,
		`SELECT COUNT(DISTINCT target) FROM audit WHERE target LIKE '@replicated%' AND kind = 'effect' AND verdict = 'done'`: total,
	} {
		var n int
		if err := db.QueryRowContext(q.t.Context(), query).Scan(&n); err != nil || n != want {
			q.t.Errorf("%s: %d %v, want %d", query, n, err, want)
		}
	}
}
