package store_test

import (
	"testing"
	"time"

	"usher/invites"
	"usher/room"
	"usher/store"
)

// TestInviting asks for open rows of a command. Joins do not count.
func TestInviting(t *testing.T) {
	for name, s := range map[string]*store.Store{"sqlite": sqliteStore(t), "postgres": postgresStore(t)} {
		inviting := func(want bool) {
			t.Helper()
			if got, err := s.Inviting(t.Context(), "$c"); err != nil || got != want {
				t.Errorf("%s: %v %v, want %v", name, got, err, want)
			}
		}
		inviting(false)
		rows, err := s.Record(t.Context(), []invites.Change{
			{Request: "$c", Command: "$c", Action: room.Invite, Target: "@a:b", Status: invites.StatusOpen, Attempt: 1, LeasedUntil: time.UnixMilli(1)},
			{Request: "$c", Command: "$c", Action: room.Invite, Target: "@c:d", Status: invites.StatusRefused},
			{Request: "$c", Command: "$c", Action: room.Join, Target: "@a:b", Status: invites.StatusOpen},
			{Request: "$d", Command: "$d", Action: room.Invite, Target: "@a:b", Status: invites.StatusWaiting},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		inviting(true)
		if err := s.Settle(t.Context(), invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.StatusDone}); err != nil {
			t.Fatal(err)
		}
		inviting(false)
		if waiting, err := s.Inviting(t.Context(), "$d"); err != nil || !waiting {
			t.Errorf("%s: one that waits for approval is not open: %v", name, err)
		}
	}
}
