package store_test

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usher/invites"
	"usher/store"
	"usher/store/pgtest"
)

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		typ, uri string
		want     error
	}{
		{"mysql", "x", store.ErrURI},
		{"", "usher.db", store.ErrURI},
		{"sqlite", "", store.ErrURI},
		{"sqlite", "postgres://u:secret@localhost/db", store.ErrURI},
		{"sqlite", "file:", store.ErrURI},
		{"sqlite", "file://elsewhere/usher.db", store.ErrURI},
		{"sqlite", "file:%zz", store.ErrURI},
		{"sqlite", "file:a?%zz", store.ErrURI},
		{"sqlite", filepath.Join(dir, "none", "usher.db"), store.ErrUnreachable},
		{"sqlite", dir, store.ErrUnreachable},
		{"sqlite", text, store.ErrUnreachable},
		{"postgres", "postgres://u:secret@localhost:port/db", store.ErrURI},
		{"postgres", "file:usher.db", store.ErrURI},
		{"postgres", "postgres://u:secret@127.0.0.1:1/db?sslmode=disable", store.ErrUnreachable},
		{"postgres", "postgres://u:secret@/db?host=" + url.QueryEscape(dir), store.ErrUnreachable},
	} {
		s, err := store.Open(t.Context(), store.Config{Type: tt.typ, URI: tt.uri})
		if !errors.Is(err, tt.want) || s != nil {
			t.Errorf("%s %s: got %v, want %v", tt.typ, tt.uri, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %s: the password is in %q", tt.typ, tt.uri, err)
		}
	}
}

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

func TestForeignDatabase(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	uri := server.Database(t)
	s := open(t, "postgres", uri)
	for _, sql := range []string{`UPDATE database_owner SET owner = 'somebody'`, `CREATE TABLE state_groups_state (x INT)`} {
		if _, err := s.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), store.Config{Type: "postgres", URI: uri}); !errors.Is(err, store.ErrForeign) {
			t.Errorf("%s: got %v, want ErrForeign", sql, err)
		}
	}
}

// TestReplicasStart opens one empty PostgreSQL database from several replicas at once.
func TestReplicasStart(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	uri := server.Database(t)
	results := make(chan error)
	for range 4 {
		go func() {
			s, err := store.Open(context.Background(), store.Config{Type: "postgres", URI: uri})
			if err == nil {
				err = errors.Join(s.Ping(context.Background()), s.Close())
			}
			results <- err
		}()
	}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestFile keeps what was written when the file is opened again.
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
