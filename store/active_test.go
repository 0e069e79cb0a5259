package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
	"usher/store/pgtest"
)

// awaitActive has a store become the active one in the background.
func awaitActive(t *testing.T, s *store.Store) <-chan *store.Active {
	t.Helper()
	got := make(chan *store.Active, 1)
	go func() {
		a, err := s.AwaitActive(t.Context())
		if err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		got <- a
	}()
	return got
}

// becomes waits for awaitActive.
func becomes(t *testing.T, got <-chan *store.Active) *store.Active {
	t.Helper()
	select {
	case a := <-got:
		if a == nil {
			t.FailNow()
		}
		t.Cleanup(func() { _ = a.Close() })
		return a
	case <-time.After(20 * time.Second):
		t.Fatal("no process becomes active")
		return nil
	}
}

// waits checks that a store does not become the active one for now.
func waits(t *testing.T, got <-chan *store.Active) {
	t.Helper()
	select {
	case <-got:
		t.Fatal("two processes are active")
	case <-time.After(700 * time.Millisecond):
	}
}

// TestOneActive: of several processes one is active. When it closes, or its session ends at the server, it knows at once, and the
// next one is active. From then on the inbox takes nothing of the earlier one.
func TestOneActive(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	uri := server.Database(t)
	one, other, third := open(t, "postgres", uri), open(t, "postgres", uri), open(t, "postgres", uri)
	receive := func(s *store.Store, event id.EventID) error {
		_, err := s.Receive(t.Context(), []invites.Received{{Event: event, Raw: []byte("{}")}})
		return err
	}
	first := becomes(t, awaitActive(t, one))
	if address, err := other.ActiveAddress(t.Context()); err != nil || address != "" {
		t.Errorf("address %q before it is announced: %v", address, err)
	}
	if err := first.Announce(t.Context(), "one:1"); err != nil {
		t.Fatal(err)
	}
	if address, err := other.ActiveAddress(t.Context()); err != nil || address != "one:1" {
		t.Errorf("address %q: %v", address, err)
	}
	if err := receive(one, "$a"); err != nil {
		t.Error(err)
	}
	waiting := awaitActive(t, other)
	waits(t, waiting)
	if _, err := third.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), store.TakeoverPause)
	defer cancel()
	if err := first.Watch(soon); !errors.Is(err, store.ErrNotActive) {
		t.Error("the process does not notice in time that its session is gone")
	}
	second := becomes(t, waiting)
	if address, err := one.ActiveAddress(t.Context()); err != nil || address != "" {
		t.Errorf("address %q of an earlier process: %v", address, err)
	}
	if err := receive(one, "$b"); !errors.Is(err, store.ErrNotActive) {
		t.Errorf("the inbox takes an event of the earlier process: %v", err)
	}
	if _, err := one.Received(t.Context(), "$b"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
	if err := first.Announce(t.Context(), "one:1"); !errors.Is(err, store.ErrNotActive) {
		t.Errorf("the earlier process announces itself: %v", err)
	}
	if err := receive(other, "$b"); err != nil {
		t.Error(err)
	}
	waiting = awaitActive(t, third)
	waits(t, waiting)
	soon, cancel = context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := second.Watch(soon); err != nil {
		t.Errorf("a session that is there: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	becomes(t, waiting)
}

// TestSharingReleases: a process of a release whose processes shared the work is never active beside one of this release.
func TestSharingReleases(t *testing.T) {
	server, err := server()
	pgtest.Need(t, err)
	uri := server.Database(t)
	s := open(t, "postgres", uri)
	config, err := pgx.ParseConfig(uri)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["application_name"] = "usher"
	old, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	waiting := awaitActive(t, s)
	waits(t, waiting)
	if err := old.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	active := becomes(t, waiting)
	config.RuntimeParams["application_name"] = "" // so that it does not count as connected
	if old, err = pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		_, err := old.Exec(context.WithoutCancel(t.Context()), `SELECT pg_advisory_lock($1)`, 0x7573686572) // as it does at its start
		started <- err
	}()
	select {
	case <-started:
		t.Error("it starts beside the active process")
	case <-time.After(500 * time.Millisecond):
	}
	if err := active.Close(); err != nil {
		t.Error(err)
	}
	if err := <-started; err != nil {
		t.Error(err)
	}
	waiting = awaitActive(t, s)
	waits(t, waiting)
	if err := old.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	becomes(t, waiting)
}

// TestActiveAlone: the process that has an SQLite file open is active.
func TestActiveAlone(t *testing.T) {
	s := sqliteStore(t)
	active := becomes(t, awaitActive(t, s))
	if err := active.Announce(t.Context(), "here:1"); err != nil {
		t.Error(err)
	}
	if address, err := s.ActiveAddress(t.Context()); err != nil || address != "here:1" {
		t.Errorf("%q %v", address, err)
	}
	if err := active.Close(); err != nil {
		t.Error(err)
	}
}
