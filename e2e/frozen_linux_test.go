package e2e

import (
	"database/sql"
	"syscall"
	"testing"

	"usher/e2e/harness"
)

// TestFrozenProcess: the active process is frozen, as by a machine that is moved, and loses its session at the database. When it goes on
// with the transaction that it was given meanwhile, it takes nothing in; the next active process does.
func TestFrozenProcess(t *testing.T) {
	f := newFlow(t)
	holder := active(t, f.uri, f.all, nil)
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(holder.PID(), s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	db, err := sql.Open("postgres", f.uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	f.PushTo(holder.URL())
	said := f.Say(f.rooms[0], "@owner0:"+f.Domain, "!invite @frozen:"+f.Domain)
	// Of this database's sessions alone: the server has others.
	if _, err := db.ExecContext(t.Context(), `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND a.datname = current_database()`); err != nil {
		t.Fatal(err)
	}
	active(t, f.uri, f.all, holder)
	signal(syscall.SIGCONT)
	f.answered(f.rooms[0], said)
	if reactions, notices := f.answers(f.rooms[0], said); reactions != 1 || notices != 0 {
		t.Errorf("%d reactions, %d notices", reactions, notices)
	}
	harness.Eventually(t, "the invitation", func() bool {
		m, _ := f.Membership(f.rooms[0], "@frozen:"+f.Domain)
		return m == "invite"
	})
}
