package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// newSecretProcesses is a stage in an encrypted room, with three processes on one PostgreSQL behind a plain load balancer.
func newSecretProcesses(t *testing.T) (s *stage, all []*harness.Usher, uri string) {
	t.Helper()
	server := os.Getenv("USHER_E2E_POSTGRES")
	if server == "" {
		t.Skip("no PostgreSQL: make test-postgres has one")
	}
	set := m{"database.type": "postgres", "encryption.pickle_key": rand.Text(), "delivery.at_once": 1, "commands.per_minute": 0, "commands.answers_per_minute": 0}
	for _, database := range []string{"database.uri", "encryption.database_uri"} {
		own, err := harness.NewDatabase(server)
		if err != nil {
			t.Fatal(err)
		}
		set[database] = own
	}
	for _, token := range []string{"appservice.as_token", "appservice.hs_token", "puppet.as_token", "puppet.hs_token"} {
		set[token] = rand.Text()
	}
	s = newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: set})
	all = []*harness.Usher{s.Usher}
	for range 2 {
		u, _, err := harness.NewUsher(t.Context(), harness.Setup{
			Dir: t.TempDir(), Domain: s.Server.Domain, Homeserver: s.Usher.Tap.URL, Address: s.Door.URL, Puppet: true, Set: set,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			u.Kill()
			if t.Failed() {
				t.Logf("a process's log ends with:\n%s", u.Tail(40))
			}
		})
		if err := u.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	s.Usher.Door = nil // which one process does not close any more
	if err := s.Door.To(all[0].URL(), all[1].URL(), all[2].URL()); err != nil {
		t.Fatal(err)
	}
	return s, all, set["database.uri"].(string)
}

// between returns what runs something while no request that sends an event is under way: a homeserver that still works on one whose sender is gone
// may take the same one again.
func between(u *harness.Usher) (pause func(fn func())) {
	var underWay sync.RWMutex
	u.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/send/") {
			underWay.RLock()
			defer underWay.RUnlock()
		}
		if r.Context().Err() == nil {
			next.ServeHTTP(w, r)
		}
	})
	return func(fn func()) {
		underWay.Lock()
		defer underWay.Unlock()
		fn()
	}
}

// TestSecretProcesses: three processes with one device in an encrypted room. Commands are run once and answered once, encrypted, whichever
// process is given them, also what the queue's workers have to say. When the active process is killed, another goes on with the same
// device; what was said meanwhile, with new keys, is answered once.
func TestSecretProcesses(t *testing.T) {
	s, all, uri := newSecretProcesses(t)
	var guests []*harness.Account
	for range 4 {
		guests = append(guests, s.Account("many"))
	}
	var pings, invited []id.EventID
	for range 6 {
		pings = append(pings, s.owner.Say(s.room, "!ping"))
		s.owner.AwaitReply(pings[len(pings)-1], s.Usher.Bot)
	}
	command := "!invite"
	for _, guest := range guests {
		command += " " + string(guest.ID)
	}
	invited = append(invited, s.succeeds(s.owner, s.room, command))
	kept := 0
	for _, u := range all {
		if strings.Contains(u.Tail(100000), `"type":"m.room.encrypted"`) {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d processes keep encrypted events, expected the active one alone", kept)
	}
	// What a key comes late for waits with all that its sender says after it, whoever is given that.
	late, deliver := s.owner.SayBeforeKey(s.room, "!invite "+string(s.guest.ID))
	for range 3 {
		pings = append(pings, s.owner.Say(s.room, "!ping"))
	}
	guests[0].Join(s.room)
	s.settled(guests[0], s.room)
	if n := len(s.owner.Seen(func(e harness.Event) bool { return e.Relation().ReplyTo == string(pings[len(pings)-1]) })); n != 0 {
		t.Error("what the same person said later came first")
	}
	deliver(s.Usher.Bot)
	s.owner.AwaitReaction(late, s.Usher.Bot, done)
	invited = append(invited, late)
	for _, ping := range pings {
		s.owner.AwaitReply(ping, s.Usher.Bot)
	}
	pause := between(s.Usher)
	var holder *harness.Usher
	for round := range 3 {
		holder = active(t, uri, all, holder)
		start := time.Now()
		pause(holder.Kill)
		s.owner.Rekey(s.room)
		pings = append(pings, s.owner.Say(s.room, "!ping"))
		s.owner.AwaitReply(pings[len(pings)-1], s.Usher.Bot)
		t.Logf("round %d: the next command was answered %s after kill -9 of the active process", round, time.Since(start))
		for range 4 {
			pings = append(pings, s.owner.Say(s.room, "!ping"))
		}
		guest := s.Account(fmt.Sprint("round", round))
		invited = append(invited, s.succeeds(s.owner, s.room, "!invite "+string(guest.ID)))
		for _, ping := range pings {
			s.owner.AwaitReply(ping, s.Usher.Bot)
		}
		t.Logf("round %d: the last answer came %s after the kill", round, time.Since(start))
		if err := holder.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.settled(s.owner, s.room)
	for _, command := range invited {
		s.answeredOnce(t, command)
	}
	for _, ping := range pings {
		if n := len(s.owner.Seen(func(e harness.Event) bool { return e.Relation().ReplyTo == string(ping) })); n != 1 {
			t.Errorf("%s has %d answers", ping, n)
		}
	}
	s.allSecret(t, s.room)
	if devices := s.identity(t).devices; len(devices) != 1 {
		t.Errorf("the bot has devices %v", devices)
	}
}
