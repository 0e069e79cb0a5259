package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

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

// killAfter runs the child, kills it when it has said so many lines, and returns all that it has said.
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
