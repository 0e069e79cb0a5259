package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"usher/invites"
	"usher/store"
)

func TestBacklog(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *store.Store{"sqlite": sqliteStore, "postgres": postgresStore} {
		t.Run(name, func(t *testing.T) {
			s, at := open(t), time.UnixMilli(1700000000000).UTC()
			if b, err := s.Backlog(t.Context()); err != nil || b != (store.Backlog{}) {
				t.Errorf("empty: %+v %v", b, err)
			}
			if _, err := s.Receive(t.Context(), []invites.Received{
				{Event: "$1", Raw: json.RawMessage("{}"), ReceivedAt: at}, {Event: "$2", Raw: json.RawMessage("{}"), ReceivedAt: at.Add(time.Minute)},
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Record(t.Context(), []invites.Change{
				{Request: "$1", Command: "$1", Target: "@a:b", Status: invites.StatusOpen, DueAt: at.Add(time.Hour)}, {Request: "$1", Command: "$1", Target: "@b:b", Status: invites.StatusDone},
			}, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Handled(t.Context(), "$1"); err != nil {
				t.Fatal(err)
			}
			b, err := s.Backlog(t.Context())
			if err != nil || b.Open != 1 || !b.Due.Equal(at.Add(time.Hour)) || b.Events != 1 || !b.Oldest.Equal(at.Add(time.Minute)) {
				t.Errorf("%+v %v", b, err)
			}
			if next, err := s.NextOpen(t.Context(), 5); err != nil || len(next) != 1 || next[0].Target != "@a:b" {
				t.Errorf("the next: %+v %v", next, err)
			}
		})
	}
}
