package store_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// TestBegun records what an event asks for while the event itself is committed: that is one commit, and so is an event alone.
func TestBegun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usher.db")
	s := open(t, "sqlite", file)
	recorded := make(chan error, 1)
	record := func(ev invites.Received) bool {
		go func() {
			rows, err := s.Record(t.Context(), []invites.Change{{Command: ev.Event, Action: room.Invite, Target: "@a:b", Status: invites.StatusOpen}}, nil)
			if err == nil && rows[0].ID == 0 {
				t.Error("a row without id")
			}
			recorded <- err
		}()
		return true
	}
	for name, tt := range map[string]struct {
		begin   func(invites.Received) bool
		records bool
	}{
		"$records": {record, true},
		"$refused": {func(invites.Received) bool { return false }, false},
		"$idle":    {func(invites.Received) bool { return true }, false}, // it has nothing to record, and the commit waits in vain
		"$nobody":  {nil, false},
	} {
		before := commits(t, file)
		fresh, err := s.Receive(t.Context(), []invites.Received{{Event: id.EventID(name), Raw: []byte("{}")}}, tt.begin)
		if err != nil || len(fresh) != 1 || fresh[0].Begun != (tt.begin != nil && name != "$refused") {
			t.Errorf("%s: %+v %v", name, fresh, err)
		}
		if tt.records {
			if err := <-recorded; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := commits(t, file) - before; n != 1 {
			t.Errorf("%s: %d commits", name, n)
		}
	}
	again, err := s.Receive(t.Context(), []invites.Received{{Event: "$records", Raw: []byte("{}")}}, record)
	if err != nil || len(again) != 0 {
		t.Errorf("an event that is there already: %+v %v", again, err)
	}
}

// TestBegunFails has what has begun be refused by the store: the event is kept all the same, and begins once.
func TestBegunFails(t *testing.T) {
	s := sqliteStore(t)
	spend := invites.Charge{Room: "!r"}
	if _, err := s.Record(t.Context(), []invites.Change{{Command: "$0"}}, nil, spend); err != nil {
		t.Fatal(err)
	}
	begun, recorded := 0, make(chan error, 1)
	fresh, err := s.Receive(t.Context(), []invites.Received{{Event: "$1", Raw: []byte("{}")}}, func(ev invites.Received) bool {
		begun++
		go func() {
			_, err := s.Record(t.Context(), []invites.Change{{Command: ev.Event}}, nil, spend)
			recorded <- err
		}()
		return true
	})
	if err != nil || len(fresh) != 1 || !fresh[0].Begun || begun != 1 {
		t.Errorf("%+v %v, begun %d times", fresh, err, begun)
	}
	if err := <-recorded; err != invites.ErrSpent {
		t.Errorf("recorded: %v", err)
	}
	if rows, err := s.Invitations(t.Context(), "$1"); err != nil || len(rows) != 0 {
		t.Errorf("%+v %v", rows, err)
	}
	if _, err := s.Received(t.Context(), "$1"); err != nil {
		t.Error(err)
	}
}

// TestBegunPanics: a write that a commit has waited for and that panics keeps nobody of that commit waiting.
func TestBegunPanics(t *testing.T) {
	s := sqliteStore(t)
	ended := make(chan any, 2)
	recovered := func(do func() error) {
		defer func() { ended <- recover() }()
		_ = do()
	}
	go recovered(func() error {
		_, err := s.Receive(t.Context(), []invites.Received{{Event: "$1", Raw: []byte("{}")}}, func(invites.Received) bool {
			go recovered(func() error { return s.Awaited(t.Context(), func() { panic("late") }) })
			return true
		})
		return err
	})
	if one, other := <-ended, <-ended; one == nil && other == nil {
		t.Error("nothing panicked")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBegunNowhere has events begin after their commit where replicas share the database: there, commits have no one order.
func TestBegunNowhere(t *testing.T) {
	s := postgresStore(t)
	fresh, err := s.Receive(t.Context(), []invites.Received{{Event: "$1", Raw: []byte("{}")}}, func(invites.Received) bool {
		t.Error("begun")
		return true
	})
	if err != nil || len(fresh) != 1 || fresh[0].Begun {
		t.Errorf("%+v %v", fresh, err)
	}
}

// commits counts the commits in a write-ahead log: frames that name the size of the database
// (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
func commits(t *testing.T, file string) (n int) {
	t.Helper()
	log, err := os.ReadFile(file + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frame = 32, 24
	page := int(binary.BigEndian.Uint32(log[8:]))
	for at := header; at+frame+page <= len(log); at += frame + page {
		if binary.BigEndian.Uint32(log[at+4:]) != 0 {
			n++
		}
	}
	return n
}
