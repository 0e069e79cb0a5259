package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher/store"
	"usher/store/pgtest"
)

// TestOneConnection: one connection, the least that may be configured, is enough to upgrade the schema, which takes a lock on a
// connection.
func TestOneConnection(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := store.Open(ctx, store.Config{Type: "postgres", URI: server.Database(t), MaxOpenConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Ping(ctx), s.Close()); err != nil {
		t.Error(err)
	}
}
