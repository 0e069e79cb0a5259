package store_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usher/invites"
	"usher/store"
)

func TestSQLiteURIs(t *testing.T) {
	for _, tt := range []struct{ uri, file string }{
		{"usher.db", "usher.db"},
		{"file:usher.db", "usher.db"},
		{"file:usher.db?_txlock=deferred&_pragma=synchronous(OFF)&_pragma=cache_size(-500)&_pragma=", "usher.db"},
		{"./a b%20c?d#e.db", "a b%20c?d#e.db"},
		{"file:a%20b.db", "a b.db"},
		{"file://DIR/usher.db", "usher.db"},
		{"file://localhostDIR/usher.db", "usher.db"},
		{"file:DIR/usher.db", "usher.db"},
		{":memory:", ""},
		{"file::memory:", ""},
		{"file:name?mode=memory&cache=shared", ""},
	} {
		dir := t.TempDir()
		t.Chdir(dir)
		s := open(t, "sqlite", strings.ReplaceAll(tt.uri, "DIR", dir))
		var journal string
		var synchronous, foreignKeys int
		for pragma, to := range map[string]any{"journal_mode": &journal, "synchronous": &synchronous, "foreign_keys": &foreignKeys} {
			if err := s.SQL().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(to); err != nil {
				t.Fatal(err)
			}
		}
		if synchronous != 2 || foreignKeys != 1 || (tt.file != "" && journal != "wal") {
			t.Errorf("%s: synchronous %d, foreign keys %d, journal %s", tt.uri, synchronous, foreignKeys, journal)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			if tt.file == "" || !strings.HasPrefix(e.Name(), tt.file) || info.Mode() != fs.FileMode(0o600) {
				t.Errorf("%s: file %q of mode %v", tt.uri, e.Name(), info.Mode())
			}
		}
		if tt.file != "" && len(entries) == 0 {
			t.Errorf("%s: no file", tt.uri)
		}
	}
}

func TestSecondProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usher.db")
	link := filepath.Join(t.TempDir(), "link.db")
	first := open(t, "sqlite", file)
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{file, "file:" + file, link} {
		if _, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: uri}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("%s: got %v, want ErrLocked", uri, err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childFile+"="+uri)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "used by another process") {
			t.Errorf("%s: a second process says %s", uri, out)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, "sqlite", file)
}

// TestFile reads the rows after a reopening of the file.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usher.db")
	s := open(t, "sqlite", file)
	if _, err := s.Receive(t.Context(), []invites.Received{{Event: "$e"}}); err != nil {
		t.Fatal(err)
	}
	if s.Pool() != nil || s.SQL() == nil {
		t.Error("SQLite has its handle, and no pool")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, "sqlite", file).Received(t.Context(), "$e"); err != nil {
		t.Error(err)
	}
}
