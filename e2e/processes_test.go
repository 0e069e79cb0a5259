package e2e

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/e2e/harness"
	"usher/e2e/stub"
)

// processes are Ushers with one database and the same tokens, behind one stub homeserver.
func processes(t *testing.T, n int, uri string) (*stub.Server, []*harness.Usher) {
	t.Helper()
	s, err := stub.Start("usher.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	set := m{"encryption.enabled": false, "commands.per_minute": 0, "commands.answers_per_minute": 0, "database.type": "postgres", "database.uri": uri}
	for _, token := range []string{"appservice.as_token", "appservice.hs_token", "puppet.as_token", "puppet.hs_token"} {
		set[token] = "a-token-that-all-processes-know-" + token
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
				t.Logf("a process's log ends with:\n%s", u.Tail(20))
			}
		})
		all, urls = append(all, u), append(urls, u.URL())
	}
	s.PushTo(urls...)
	return s, all
}

// flow is commands that flow in some rooms while processes come and go.
type flow struct {
	*quick
	uri     string
	r       *rand.Rand
	all     []*harness.Usher
	rooms   []string
	serial  []string            // those with a quota: their commands run one after the other
	order   map[string][]string // the commands of each room
	targets map[string][]string // whom each command invites
	total   int                 // invitations
}

// newFlow starts three processes on a database of their own. Without PostgreSQL it skips the test.
func newFlow(t *testing.T) *flow {
	t.Helper()
	uri := os.Getenv("USHER_E2E_POSTGRES")
	if uri == "" {
		t.Skip("no PostgreSQL: make test-postgres has one")
	}
	uri, err := harness.NewDatabase(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, all := processes(t, 3, uri)
	var starting sync.WaitGroup
	for _, u := range all { // at once: one of them makes the tables
		starting.Go(func() {
			if err := u.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	f := &flow{
		quick: &quick{Server: s, Usher: all[0], t: t}, uri: uri, all: all, order: map[string][]string{}, targets: map[string][]string{},
		r: rand.New(rand.NewPCG(uint64(number("USHER_E2E_SEED", 1)), 2)),
	}
	for i := range 8 {
		owner := fmt.Sprintf("@owner%d:%s", i, s.Domain)
		f.rooms = append(f.rooms, s.Room(fmt.Sprint("processes", i), owner))
		if i%2 == 0 {
			s.Set(f.rooms[i], "chat.usher.policy", "", owner, m{"version": 1, "quota": m{"person": m{"count": 10_000, "per": "1h"}}}, false)
			f.serial = append(f.serial, f.rooms[i])
		}
	}
	return f
}

// say says a few commands, and a little later goes on.
func (f *flow) say() {
	for range 4 {
		i := f.r.IntN(len(f.rooms))
		var guests []string
		for range 1 + f.r.IntN(7) {
			guests = append(guests, fmt.Sprintf("@guest%d:%s", f.total, f.Domain))
			f.total++
		}
		said := f.Say(f.rooms[i], fmt.Sprintf("@owner%d:%s", i, f.Domain), "!invite "+strings.Join(guests, " "))
		f.order[f.rooms[i]], f.targets[said] = append(f.order[f.rooms[i]], said), guests
	}
	<-time.After(time.Duration(f.r.IntN(120)) * time.Millisecond) // the moment is what is tested
}

// allAnswered waits until all that was said has its answer.
func (f *flow) allAnswered() {
	f.t.Helper()
	start := time.Now()
	f.await("all answers", 3*time.Minute, func() bool {
		for in, list := range f.order {
			for _, said := range list {
				if reactions, _ := f.answers(in, said); reactions == 0 {
					return false
				}
			}
		}
		return true
	})
	f.t.Logf("%d invitations of %d commands so far; the last answer after %s", f.total, len(f.targets), time.Since(start))
}

// complete checks that no invitation was lost or sent again, that each command was answered once, and the audit.
func (f *flow) complete() {
	f.t.Helper()
	for in, list := range f.order {
		for _, said := range list {
			if reactions, notices := f.answers(in, said); reactions != 1 || notices > 1 {
				f.t.Errorf("%s: %d reactions, %d notices", said, reactions, notices)
			}
			for _, guest := range f.targets[said] {
				if m, _ := f.Membership(in, guest); m != "invite" {
					f.t.Errorf("%s is %q", guest, m)
				}
			}
		}
	}
	if again := f.SentAgain(); len(again) > 0 {
		f.t.Errorf("sent again after they took effect: %v", again)
	}
	f.audited()
}

// TestKilledProcesses: three processes on one PostgreSQL, of which one is killed every now and then while invitations flow. None is lost
// or sent again, each command is decided on and answered once, in rooms with a quota in their order. No log has a token.
func TestKilledProcesses(t *testing.T) {
	f := newFlow(t)
	var dead *harness.Usher
	for range number("USHER_E2E_KILLS", 200) / 8 {
		f.say()
		if dead != nil {
			if err := dead.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		dead = f.all[f.r.IntN(len(f.all))] // until the next round; what it left behind is for the others
		dead.Kill()
	}
	f.allAnswered() // with one of three dead
	f.complete()
	f.quiet()
}

// quiet checks that no log has a token.
func (f *flow) quiet() {
	f.t.Helper()
	for _, u := range f.all {
		if log, err := os.ReadFile(filepath.Join(u.Dir(), "usher.log")); err != nil || strings.Contains(string(log), "a-token-that-all") {
			f.t.Errorf("%s: a token in the log, or %v", u.URL(), err)
		}
	}
}

// active returns the active process, once there is one other than not.
func active(t *testing.T, uri string, all []*harness.Usher, not *harness.Usher) (found *harness.Usher) {
	t.Helper()
	db, err := sql.Open("postgres", uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	harness.Eventually(t, "an active process", func() bool {
		var address string
		if err := db.QueryRowContext(t.Context(), `SELECT address FROM active_process`).Scan(&address); err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if u != not && u.URL() == "http://"+address {
				found = u
			}
		}
		return found != nil
	})
	return found
}

// TestTakeover measures the time from kill -9 of the active process to the answer to the next command, which comes a moment after the kill.
func TestTakeover(t *testing.T) {
	f := newFlow(t)
	var took []time.Duration
	for round := range 7 {
		holder := active(t, f.uri, f.all, nil)
		start := time.Now()
		holder.Kill()
		guest := fmt.Sprintf("@round%d:%s", round, f.Domain)
		f.answered(f.rooms[0], f.Say(f.rooms[0], "@owner0:"+f.Domain, "!invite "+guest))
		took = append(took, time.Since(start))
		active(t, f.uri, f.all, holder)
		if err := holder.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(took)
	t.Logf("from kill -9 of the active process to the answer to the next command: median %s, longest %s", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 5*time.Second {
		t.Error("that is too long")
	}
	f.quiet()
}

// TestPlanTakeover: a plan that is handed to a process which stands by is carried out although the active one is killed (kill -9) in the middle: each
// person has one row, and is invited once.
func TestPlanTakeover(t *testing.T) {
	f := newFlow(t)
	holder, in, owner := active(t, f.uri, f.all, nil), f.rooms[1], "@owner1:"+f.Domain
	standby := f.all[slices.IndexFunc(f.all, func(u *harness.Usher) bool { return u != holder })]
	f.Set(in, policyEvent, "", owner, m{"version": 1, "plan": m{"allow": []string{"staff"}}}, true)
	const people = 60
	text := fmt.Sprintf("version: 1\nname: staff\nrooms:\n- room: %q\n  from:\n  - csv: staff.csv\n", in)
	list := "user\n"
	for i := range people {
		list += fmt.Sprintf("@planned%d:%s\n", i, f.Domain)
	}
	for name, content := range map[string]string{"members.yaml": text, "staff.csv": list} {
		if err := os.WriteFile(filepath.Join(standby.Dir(), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reached, killed := make(chan struct{}), make(chan struct{})
	f.Script(stub.Fault{Suffix: "/invite", From: people / 3, Times: 1, After: true, Reset: true, Call: func() {
		close(reached)
		<-killed
	}})
	type result struct {
		out  string
		code int
	}
	applied := make(chan result, 1)
	go func() {
		out, code := standby.Run(t.Context(), "apply", "-f", "members.yaml")
		applied <- result{out, code}
	}()
	harness.Wait(t, "the invitations", reached)
	holder.Kill()
	close(killed)
	if r := <-applied; r.code != 0 || !strings.Contains(r.out, fmt.Sprintf("%d of %d steps done", people, people)) {
		t.Fatalf("exit code %d\n%s", r.code, r.out)
	}
	for i := range people {
		if got, by := f.Membership(in, fmt.Sprintf("@planned%d:%s", i, f.Domain)); got != "invite" || by != string(standby.Bot) {
			t.Errorf("person %d is %q by %q", i, got, by)
		}
	}
	if again := f.SentAgain(); len(again) > 0 {
		t.Errorf("sent again after they took effect: %v", again)
	}
	db, err := sql.Open("postgres", f.uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for query, want := range map[string]int{
		`SELECT COUNT(*) FROM invitation WHERE target LIKE '@planned%'`:                                            people,
		`SELECT COUNT(*) FROM invitation WHERE target LIKE '@planned%' AND status = 'done'`:                        people,
		`SELECT COUNT(*) FROM audit WHERE target LIKE '@planned%' AND kind = 'decision' AND command LIKE 'plan:%'`: people,
	} {
		var n int
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d %v, want %d", query, n, err, want)
		}
	}
	f.quiet()
}

// decided returns the commands of a room that were decided on, the first one first.
func decided(t *testing.T, db *sql.DB, in string) (commands []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT command FROM audit WHERE kind = 'decision' AND room_id = $1 GROUP BY command ORDER BY MIN(id)`, in)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var command string
		if err := rows.Scan(&command); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, command)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return commands
}

// audited checks the audit of the invitations, and that each command was decided on, in rooms with a quota in their order.
func (f *flow) audited() {
	f.t.Helper()
	db, err := sql.Open("postgres", f.uri)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for in, said := range f.order {
		got, want := decided(f.t, db, in), slices.Clone(said)
		if !slices.Contains(f.serial, in) {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			f.t.Errorf("%s: decided %v, said %v", in, got, want)
		}
	}
	for query, want := range map[string]int{
		`SELECT COUNT(*) FROM invitation WHERE target LIKE '@guest%' AND status = 'done'`:                               f.total,
		`SELECT COUNT(*) FROM audit WHERE target LIKE '@guest%' AND kind = 'decision'`:                                  f.total,
		`SELECT COUNT(DISTINCT target) FROM audit WHERE target LIKE '@guest%' AND kind = 'effect' AND verdict = 'done'`: f.total,
	} {
		var n int
		if err := db.QueryRowContext(f.t.Context(), query).Scan(&n); err != nil || n != want {
			f.t.Errorf("%s: %d %v, want %d", query, n, err, want)
		}
	}
}
