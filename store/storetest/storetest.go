// Package storetest opens SQLite databases for tests that are not about files.
//
// A new database runs through all upgrades, and every commit waits for the disk. So a test binary upgrades one database, each test gets a copy,
// and the copy is in memory where there is such a place; that of a benchmark stays on the disk.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"usher/store"
)

// empty returns an upgraded database without rows.
var empty = sync.OnceValues(func() (data []byte, err error) {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "usher.db")
	s, err := store.Open(context.Background(), store.Config{Type: "sqlite", URI: file})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // which writes everything to the one file
		return nil, err
	}
	return os.ReadFile(file)
})

// Open opens an empty database of the test's own, until the test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	dir := t.TempDir()
	if _, measures := t.(*testing.B); !measures {
		if memory, err := os.MkdirTemp("/dev/shm", "usher-test-"); err == nil {
			t.Cleanup(func() { _ = os.RemoveAll(memory) })
			dir = memory
		}
	}
	file := filepath.Join(dir, "usher.db")
	data, err := empty()
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: file})
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
