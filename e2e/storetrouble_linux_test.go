package e2e

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// smallDisk mounts a disk of so many bytes at a folder of its own.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if err != nil && os.Getuid() == 0 && os.Getenv("CI") != "" {
		t.Fatalf("mounting a tmpfs: %v", err)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "*** %s is NOT tested: mounting a tmpfs: %v ***\n", t.Name(), err)
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that is left on a disk, and returns what gives it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	_ = f.Close()
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// observedOn is a Usher before a stub with a database of its own, and its operator's listener at url.
func observedOn(t *testing.T, kind, uri string) (q *quick, url string) {
	t.Helper()
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	return newQuick(t, m{"metrics.enabled": true, "metrics.listen": at, "database.type": kind, "database.uri": uri}), "http://" + at
}

// withoutStore checks what a Usher whose database can't commit does, from the trouble's begin to its end: a transaction is refused and comes
// again, /ready says why, and nothing is done that is not on record. Afterwards all is done, once, without a hand on it.
func (q *quick) withoutStore(url, in, owner, guest string, begin, end func()) {
	q.t.Helper()
	begin()
	before := q.Refused()
	said := q.Say(in, owner, "!invite "+guest)
	q.eventually("for transactions to be refused", func() bool { return q.Refused() > before+2 })
	if status, err := q.Put(q.t.Context(), rand.Text(), []byte(`{"events":[`+command(in, owner, rand.Text())+`]}`)); err != nil || status != http.StatusServiceUnavailable {
		q.t.Errorf("a transaction is answered %d %v, expected 503", status, err)
	}
	q.eventually("for /ready to say why", func() bool {
		status, body := get(q.t, url+"/ready")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "the database can't commit")
	})
	if m, _ := q.Membership(in, guest); m != "" {
		q.t.Errorf("%s is %q, and nothing of it is on record", guest, m)
	}
	end()
	q.answered(in, said)
	q.pinged(in, owner)
	if reactions, notices := q.answers(in, said); reactions != 1 || notices > 1 {
		q.t.Errorf("%d reactions, %d notices", reactions, notices)
	}
	if m, _ := q.Membership(in, guest); m != "invite" {
		q.t.Errorf("%s is %q", guest, m)
	}
	q.eventually("for Usher to be ready again", func() bool {
		status, _ := get(q.t, url+"/ready")
		return status == http.StatusOK
	})
}

// command is an event that says !ping, with a lot beside it.
func command(in, sender, id string) string {
	return fmt.Sprintf(`{"event_id":"$%s","room_id":%q,"type":"m.room.message","sender":%q,"origin_server_ts":%d,"content":{"msgtype":"m.text","body":"!ping","more":"%s"}}`,
		id, in, sender, time.Now().UnixMilli(), strings.Repeat("x", 60_000))
}

// TestFullDisk: the disk with the database is full, later there is room again.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 32<<20)
	q, url := observedOn(t, "sqlite", filepath.Join(disk, "usher.db"))
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	q.answered(in, q.Say(in, owner, "!invite @first:"+q.Domain))
	var empty func()
	q.withoutStore(url, in, owner, "@guest:"+q.Domain, func() {
		empty = fill(t, disk)
		for n := 0; ; n++ { // what SQLite's log has room for still fits
			status, err := q.Put(t.Context(), fmt.Sprint("more", n), []byte(`{"events":[`+command(in, owner, rand.Text())+`]}`))
			if err != nil || n > 1000 {
				t.Fatalf("after %d transactions: %v", n, err)
			}
			if status != http.StatusOK {
				return
			}
		}
	}, func() { empty() })
	if again := q.SentAgain(); len(again) > 0 {
		t.Errorf("sent again: %v", again)
	}
}

// TestReadOnlyDisk: the disk with the database is read-only at a start: Usher says so and ends; later it goes on.
func TestReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t, 32<<20)
	q, _ := observedOn(t, "sqlite", filepath.Join(disk, "usher.db"))
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	q.answered(in, q.Say(in, owner, "!invite @first:"+q.Domain))
	if err := q.Usher.Stop(); err != nil {
		t.Error(err)
	}
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	said := q.Say(in, owner, "!invite @guest:"+q.Domain)
	if err := q.Usher.Launch(); err != nil {
		t.Fatal(err)
	}
	harness.Wait(t, "Usher's end", q.Usher.Done())
	if log := q.Usher.Tail(3); !strings.Contains(log, "read-only") {
		t.Errorf("it does not say why: %s", log)
	}
	if m, _ := q.Membership(in, "@guest:"+q.Domain); m != "" {
		t.Errorf("the guest is %q", m)
	}
	remount(0)
	q.start()
	q.answered(in, said)
}

// TestPostgresTrouble: the PostgreSQL server goes away under a running Usher and comes back, and becomes read-only for a while.
func TestPostgresTrouble(t *testing.T) {
	server := os.Getenv("USHER_E2E_POSTGRES")
	if server == "" {
		t.Skip("no PostgreSQL: make test-postgres has one")
	}
	uri, err := harness.NewDatabase(server)
	if err != nil {
		t.Fatal(err)
	}
	q, url := observedOn(t, "postgres", uri)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	q.answered(in, q.Say(in, owner, "!invite @first:"+q.Domain))
	postmaster, err := harness.FindPostmaster(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	for i, abrupt := range []bool{false, true} {
		q.withoutStore(url, in, owner, fmt.Sprintf("@gone%d:%s", i, q.Domain), func() {
			if err := postmaster.Stop(t.Context(), abrupt); err != nil {
				t.Fatal(err)
			}
		}, func() {
			if err := postmaster.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	db, err := sql.Open("postgres", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	set := func(setting string) {
		for _, statement := range []string{"ALTER SYSTEM " + setting, "SELECT pg_reload_conf()"} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	q.withoutStore(url, in, owner, "@readonly:"+q.Domain, func() {
		set("SET default_transaction_read_only = on")
		q.eventually("for the database to be read-only", func() bool {
			status, _ := get(t, url+"/ready")
			return status == http.StatusServiceUnavailable
		})
	}, func() { set("RESET default_transaction_read_only") })
	if again := q.SentAgain(); len(again) > 0 {
		t.Errorf("sent again: %v", again)
	}
}

// TestBackAfterFullDisk: Usher's disk is full for 70 s, so that it answers 503 and Synapse waits longer and longer. When there is room, Usher
// finds that out by itself, and makes Synapse try at once.
func TestBackAfterFullDisk(t *testing.T) {
	if harness.Kind() != homeserver.Synapse {
		t.Skip("about Synapse: Dendrite has no ping")
	}
	small := smallDisk(t, 48<<20)
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"database.uri": "file:" + small + "/usher.db"}})
	empty := fill(t, small)
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID))
	time.Sleep(70 * time.Second)
	if got, _ := s.owner.Membership(s.room, s.guest.ID); got == "invite" {
		t.Error("invited, and nothing of it is on record")
	}
	empty()
	free := time.Now()
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	if took := time.Since(free); took > 15*time.Second {
		t.Errorf("answered %v after there was room", took)
	}
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
}
