package store_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/store"
	"usher/store/pgtest"
	"usher/store/storetest"
)

// server is the PostgreSQL server of this test binary, started by its first user.
var server = sync.OnceValues(pgtest.Start)

func TestMain(m *testing.M) {
	if os.Getenv(childFile) != "" {
		child()
	}
	code := m.Run()
	if s, err := server(); err == nil {
		s.Stop()
	}
	os.Exit(code)
}

func open(t testing.TB, typ, uri string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Type: typ, URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sqliteStore(t testing.TB) *store.Store {
	return storetest.Open(t)
}

func postgresStore(t testing.TB) *store.Store {
	s, err := server()
	pgtest.Need(t, err)
	return open(t, "postgres", s.Database(t))
}

func TestSQLite(t *testing.T) {
	runSuite(t, func(t *testing.T) Store { return sqliteStore(t) })
}

func TestMemory(t *testing.T) {
	runSuite(t, func(t *testing.T) Store { return open(t, "sqlite", ":memory:") })
}

func TestPostgres(t *testing.T) {
	runSuite(t, func(t *testing.T) Store { return postgresStore(t) })
}

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

// TestNewerSchema: a version to come upgrades the schema, beside this one or after it. Where the upgrade says so, this version goes on
// with what it has open, and opens it anew; else it refuses to.
func TestNewerSchema(t *testing.T) {
	compatible := store.Upgrade{Compatible: true, SQL: `CREATE TABLE next_one (n BIGINT NOT NULL); ALTER TABLE inbox ADD COLUMN next_one TEXT NOT NULL DEFAULT ''`}
	incompatible := store.Upgrade{SQL: `ALTER TABLE inbox DROP COLUMN raw`}
	for _, typ := range []string{"sqlite", "postgres"} {
		t.Run(typ, func(t *testing.T) {
			cfg := store.Config{Type: typ, URI: filepath.Join(t.TempDir(), "usher.db")}
			if typ == "postgres" {
				server, err := server()
				pgtest.Need(t, err)
				cfg.URI = server.Database(t)
			}
			s := open(t, typ, cfg.URI)
			works := func(event id.EventID, ahead int) {
				t.Helper()
				if _, err := s.Receive(t.Context(), []invites.Received{{Event: event}}); err != nil {
					t.Error(err)
				}
				if err := s.Ping(t.Context()); err != nil || s.Ahead() != ahead {
					t.Errorf("%v, %d ahead, want %d", err, s.Ahead(), ahead)
				}
			}
			works("$before", 0)
			if err := s.UpgradeNext(t.Context(), compatible); err != nil {
				t.Fatal(err)
			}
			works("$meanwhile", 0)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, typ, cfg.URI)
			works("$after", 1)
			if err := s.UpgradeNext(t.Context(), compatible, incompatible); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrNewer) {
				t.Errorf("got %v, want ErrNewer", err)
			}
		})
	}
}

// TestCompatible: the last upgrade alone says which versions may go on with the schema. So it speaks for those before it as well.
func TestCompatible(t *testing.T) {
	header := regexp.MustCompile(`^-- v\d+ -> v(\d+)(?: \(compatible with v(\d+)\+\))?: `)
	for _, folder := range []string{"upgrades", "keyupgrades"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.sql")) // sorted
		if err != nil {
			t.Fatal(err)
		}
		least := 0
		for i, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := header.FindSubmatch(text)
			if m == nil || string(m[1]) != strconv.Itoa(i+1) {
				t.Errorf("%s: not the header of upgrade %d", file, i+1)
				continue
			}
			compatible := i + 1
			if m[2] != nil {
				compatible, _ = strconv.Atoi(string(m[2]))
			}
			if compatible < least {
				t.Errorf("%s: says compatible with v%d+, but one before it is with v%d+ only", file, compatible, least)
			}
			least = max(least, compatible)
		}
	}
}

// TestCreatedIsTold: only the first Open of a database makes it.
func TestCreatedIsTold(t *testing.T) {
	at := store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "usher.db")}
	for _, want := range []bool{true, false, false} {
		s, err := store.Open(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Created(); got != want {
			t.Errorf("created: %v, want %v", got, want)
		}
		_ = s.Close()
	}
}

// TestOldSentences: rows of older versions have sentences where rows have phrases now, and are shown as they are.
func TestOldSentences(t *testing.T) {
	const sentence = "Nobody decided in time."
	s := open(t, "sqlite", filepath.Join(t.TempDir(), "usher.db"))
	row := invites.Change{Request: "$c", Command: "$c", Status: invites.StatusRefused, Detail: room.Say("detail.over")}
	if _, err := s.Record(t.Context(), []invites.Change{row}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.UpgradeNext(t.Context(), store.Upgrade{Compatible: true, SQL: `UPDATE invitation SET detail = '` + sentence + `'`}); err != nil {
		t.Fatal(err)
	}
	rows, err := s.ChangesOf(t.Context(), "$c")
	if err != nil || len(rows) != 1 || rows[0].Detail.Key != room.KeyText || rows[0].Detail.Args["text"] != sentence {
		t.Errorf("got %+v, %v", rows, err)
	}
}
