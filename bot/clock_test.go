package bot

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/invites"
	"usher/store"
)

// TestClockStep: only a clock that was set back counts, and by how much.
func TestClockStep(t *testing.T) {
	var c clockWatch
	wall, ran := time.Now(), time.Duration(0)
	for _, look := range []struct{ wall, ran, back time.Duration }{
		{0, 0, 0},
		{time.Hour, time.Hour, 0},
		{-2 * time.Minute, 5 * time.Second, 2*time.Minute + 5*time.Second},
		{5 * time.Second, 5 * time.Second, 0},
		{10 * time.Minute, 5 * time.Second, 0},
		{-10 * time.Second, 5 * time.Second, 0}, // NTP
	} {
		wall, ran = wall.Add(look.wall), ran+look.ran
		if back := c.step(wall, ran); back != look.back {
			t.Errorf("%+v: %v", look, back)
		}
	}
}

// TestClockSetBackOverRestart: the database knows a later time than the clock. Rows that wait are due as much earlier.
func TestClockSetBackOverRestart(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bot{log: zerolog.Nop(), store: loggedStore{Store: db}}
	now := time.Now()
	row := func(request string, due time.Time) invites.Change {
		return invites.Change{Request: request, Origin: invites.OriginCommand, Action: "invite", Room: "!r", Target: "@b:x", Status: invites.StatusOpen, CreatedAt: now, DueAt: due}
	}
	if _, err := db.Record(t.Context(), []invites.Change{row("$soon", now.Add(2*time.Hour+time.Minute)), row("$past", now.Add(-time.Hour))},
		[]invites.Audit{{At: now.Add(2 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	if err := b.recallClock(t.Context()); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]time.Time{"$soon": now.Add(time.Minute), "$past": now.Add(-time.Hour)} {
		rows, err := db.ChangesOf(t.Context(), request)
		if err != nil || len(rows) != 1 || rows[0].DueAt.Sub(want).Abs() > 10*time.Second {
			t.Errorf("%s: %+v %v, want due %v", request, rows, err, want)
		}
	}
}
