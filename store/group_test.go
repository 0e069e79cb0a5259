package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

// TestPanicInSharedCommit: a write panicking in a commit keeps no other caller of that commit waiting, and the store goes on.
func TestPanicInSharedCommit(t *testing.T) {
	s := sqliteStore(t)
	var callers sync.WaitGroup
	panicked := make(chan any, 1)
	for n := range 20 {
		callers.Go(func() {
			defer func() {
				if cause := recover(); cause != nil {
					panicked <- cause
				}
			}()
			_ = s.Commit(t.Context(), func() {
				if n == 10 {
					panic("a bug")
				}
			})
		})
	}
	callers.Wait()
	if len(panicked) != 1 {
		t.Error("nothing panicked")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// testGivenUpWrite: a caller that gives up in a shared commit takes nobody else's write along.
func testGivenUpWrite(t *testing.T, s Store) {
	var callers sync.WaitGroup
	begun, goOn := make(chan struct{}), make(chan struct{})
	commit := func(ctx context.Context, do func()) {
		callers.Go(func() {
			if err := s.CommitAudited(ctx, do); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	waiting := func(n int) {
		for s.QueuedWrites() < n && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	var once sync.Once
	commit(t.Context(), func() { once.Do(func() { close(begun); <-goOn }) })
	<-begun
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	commit(ctx, giveUp)
	waiting(1)
	var done [5]bool
	for i := range done {
		commit(t.Context(), func() { done[i] = true })
	}
	waiting(1 + len(done))
	close(goOn)
	callers.Wait()
	if done != [5]bool{true, true, true, true, true} {
		t.Errorf("written: %v", done)
	}
}

func receive(ctx context.Context, s *store.Store, n, bytes int) error {
	_, err := s.Receive(ctx, []invites.Received{{Event: id.EventID(fmt.Sprintf("$%d", n)), Raw: json.RawMessage(make([]byte, bytes))}})
	return err
}

// TestBusy has another user of the database, such as the queue, hold the writing connection. A waiting caller may give up alone.
func TestBusy(t *testing.T) {
	s := sqliteStore(t)
	tx, err := s.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	var patient, hasty sync.WaitGroup
	for n := range 20 {
		ctx, want, wg := t.Context(), error(nil), &patient
		if n%2 == 0 {
			ctx, want, wg = short, context.DeadlineExceeded, &hasty
		}
		wg.Go(func() {
			if err := receive(ctx, s, n, 1); !errors.Is(err, want) {
				t.Errorf("event %d: got %v, want %v", n, err, want)
			}
		})
	}
	hasty.Wait()
	if _, err := s.WaitingAfter(t.Context(), 0, 100); err != nil {
		t.Errorf("reading waits for the writer: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	patient.Wait()
	if waiting, err := s.WaitingAfter(t.Context(), 0, 100); err != nil || len(waiting) != 10 {
		t.Errorf("%d events wait, want 10; %v", len(waiting), err)
	}
}

// TestFull runs out of disk space: a large write fails, earlier rows stay, and writes succeed again with new space.
func TestFull(t *testing.T) {
	s := sqliteStore(t)
	pages := func(n int) {
		if _, err := s.SQL().ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	pages(60)
	var mu sync.Mutex
	kept := map[int]bool{}
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			err := receive(t.Context(), s, n, 4000)
			mu.Lock()
			defer mu.Unlock()
			kept[n] = err == nil
		})
	}
	wg.Wait()
	for n, ok := range kept {
		_, err := s.Received(t.Context(), id.EventID(fmt.Sprintf("$%d", n)))
		if ok != (err == nil) {
			t.Errorf("event %d: said to be kept: %v; %v", n, ok, err)
		}
	}
	if err := receive(t.Context(), s, 1000, 1<<20); err == nil {
		t.Error("a megabyte fits into nothing")
	}
	pages(1 << 20)
	if err := receive(t.Context(), s, 1000, 1<<20); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// childFile names the database that a child process writes to until it is killed.
const childFile = "USHER_TEST_CHILD_FILE"

// child writes and says so, for ever.
func child() {
	s, err := store.Open(context.Background(), store.Config{Type: "sqlite", URI: os.Getenv(childFile)})
	if err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		e := id.EventID(fmt.Sprintf("$%d", n))
		_, err := s.Receive(context.Background(), []invites.Received{{Event: e, Raw: json.RawMessage(`{}`)}})
		if err == nil {
			fmt.Println("received", e)
			_, err = s.Record(context.Background(), []invites.Change{{Request: string(e), Command: e, Status: invites.StatusOpen}}, []invites.Audit{{Kind: "effect", Request: string(e)}})
		}
		if err != nil {
			fmt.Println("fault", err)
			os.Exit(1)
		}
		fmt.Println("recorded", e)
	}
}

// TestKilled kills a process between its writes, again and again: what it said it had written is there, and the lock
// is gone with it.
func TestKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usher.db")
	for lines := 1; lines < 120; lines += 17 {
		said := killAfter(t, file, lines)
		s, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: file})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range said {
			var what string
			var e id.EventID
			fmt.Sscan(line, &what, &e)
			if _, err := s.Received(t.Context(), e); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			rows, err := s.ChangesOf(t.Context(), string(e))
			if err != nil || (what == "recorded" && len(rows) != 1) {
				t.Errorf("%s: %d rows, %v", line, len(rows), err)
			}
			audit, err := s.Audit(t.Context(), string(e))
			if err != nil || len(audit) < len(rows) {
				t.Errorf("%s: %d rows without their audit, %v", line, len(rows), err)
			}
			if err := s.Handled(t.Context(), e); err != nil {
				t.Error(err)
			}
		}
		if err := s.Clean(t.Context(), time.UnixMilli(1)); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killAfter runs the child, kills it after so many lines of output, and returns its output.
func killAfter(t *testing.T, file string, lines int) (said []string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		said = append(said, scanner.Text())
		if len(said) == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v, %v", err, said)
	}
	return said
}
