package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/store"
	"usher/store/pgtest"
)

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
