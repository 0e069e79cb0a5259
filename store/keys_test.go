package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
	"usher/store/pgtest"
)

func TestKeysConfig(t *testing.T) {
	for _, tt := range []struct{ typ, uri, want string }{
		{"sqlite", "file:usher.db", "usher-keys.db"},
		{"sqlite", "/data/usher.db", "/data/usher-keys.db"},
		{"sqlite", "file:/data/usher?_pragma=x", "/data/usher-keys"},
		{"sqlite", ":memory:", ":memory:"},
		{"postgres", "postgres://h/d", "postgres://h/d"},
	} {
		if got := store.KeysConfig(store.Config{Type: tt.typ, URI: tt.uri}); got.URI != tt.want || got.Type != tt.typ {
			t.Errorf("%s: got %+v, want %s", tt.uri, got, tt.want)
		}
	}
}

func TestKeysOnSQLite(t *testing.T) {
	testKeys(t, store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "keys.db"), MaxOpenConns: 4})
}

func TestKeysOnPostgres(t *testing.T) {
	pg, err := server()
	pgtest.Need(t, err)
	testKeys(t, store.Config{Type: "postgres", URI: pg.Database(t), MaxOpenConns: 4})
}

func testKeys(t *testing.T, cfg store.Config) {
	ctx := t.Context()
	open := func() *store.Keys {
		k, err := store.OpenKeys(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := open()
	failed := errors.New("failed")
	err := k.Transaction(ctx, func(ctx context.Context) error {
		if err := k.Lock(ctx); err != nil {
			return err
		}
		if err := k.SaveEncryptedRoom(ctx, "!lost", json.RawMessage(`{}`)); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	for _, settings := range []string{`{"a":1}`, "{\"a\":\"\xff\"}"} {
		if err := k.SaveEncryptedRoom(ctx, "!r\x00", json.RawMessage(settings)); err != nil {
			t.Fatal(err)
		}
	}
	if cfg.Type == "sqlite" {
		if _, err := store.OpenKeys(ctx, cfg); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a second process: %v", err)
		}
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	k = open()
	defer func() { _ = k.Close() }()
	rooms, err := k.EncryptedRooms(ctx)
	if err != nil || len(rooms) != 1 || string(rooms["!r\x00"]) != "{\"a\":\"\xff\"}" {
		t.Errorf("got %q, %v", rooms, err)
	}
}

func TestDismiss(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Receive(t.Context(), []invites.Received{{Event: "$1"}, {Event: "$2"}, {Event: "$3"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Dismiss(t.Context(), []id.EventID{"$1", "$3", "$none"}); err != nil {
		t.Fatal(err)
	}
	if left, err := s.WaitingAfter(t.Context(), 0, 10); err != nil || len(left) != 1 || left[0].Event != "$2" {
		t.Errorf("left: %+v, %v", left, err)
	}
}
