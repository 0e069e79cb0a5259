package e2e

import (
	"database/sql"
	"maps"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // reads what Usher left behind

	"usher/e2e/harness"
	"usher/e2e/homeserver"
	"usher/e2e/stub"
)

// quick is a Usher before a stub homeserver.
type quick struct {
	*stub.Server
	Usher *harness.Usher
	t     *testing.T
	dir   string
}

// newQuick sets both up; Usher is not started. set are further settings.
func newQuick(t *testing.T, set m) *quick {
	t.Helper()
	if harness.Kind() != homeserver.Dendrite {
		t.Skip("no homeserver takes part; it ran with the default one")
	}
	s, err := stub.Start("usher.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	settings := m{"encryption.enabled": false, "commands.per_minute": 0, "commands.answers_per_minute": 0}
	maps.Copy(settings, set)
	dir := t.TempDir()
	u, registrations, err := harness.NewUsher(t.Context(), harness.Setup{Dir: dir, Domain: s.Domain, Homeserver: s.URL, Puppet: true, Set: settings})
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
			t.Logf("usher's log ends with:\n%s", u.Tail(40))
		}
	})
	return &quick{Server: s, Usher: u, t: t, dir: dir}
}

// start starts Usher and waits until it is ready.
func (q *quick) start() {
	q.t.Helper()
	if err := q.Usher.Start(q.t.Context()); err != nil {
		q.t.Fatal(err)
	}
}

// await waits until something is so.
func (q *quick) await(what string, within time.Duration, is func() bool) {
	q.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		changed := q.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			q.t.Fatalf("waited %s in vain for %s", within, what)
		}
	}
}

// answers counts the bot's reactions on a command, and its notices in reply, edits of which don't count.
func (q *quick) answers(in, command string) (reactions, notices int) {
	for _, e := range q.Events(in, func(e stub.Event) bool { return e.Sender == string(q.Usher.Bot) }) {
		relation := harness.Event{Content: e.Content}.Relation()
		switch {
		case e.Type == "m.reaction" && relation.On == command:
			reactions++
		case e.Type == "m.room.message" && (harness.Event{Content: e.Content}).Field("msgtype") == "m.notice" && relation.ReplyTo == command:
			notices++
		}
	}
	return reactions, notices
}

// confirmed has the sender of a command for many people confirm its preview.
func (q *quick) confirmed(in, owner, command string) {
	q.t.Helper()
	q.await("the preview of "+command, harness.Patience, func() bool {
		for _, e := range q.Events(in, func(e stub.Event) bool { return e.Sender == string(q.Usher.Bot) && e.Type == "m.reaction" }) {
			relation := harness.Event{Content: e.Content}.Relation()
			if relation.Key == "❌" {
				q.React(in, owner, relation.On, "✅")
				return true
			}
		}
		return false
	})
}

// answered waits until a command has its reaction.
func (q *quick) answered(in, command string) {
	q.t.Helper()
	q.await("the answer to "+command, harness.Patience, func() bool {
		reactions, _ := q.answers(in, command)
		return reactions > 0
	})
}

// count asks Usher's database for a number; Usher has to be stopped.
func (q *quick) count(query string) (n int) {
	q.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(q.dir, "usher.db"))
	if err != nil {
		q.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(q.t.Context(), query).Scan(&n); err != nil {
		q.t.Fatalf("%s: %v", query, err)
	}
	return n
}
