package moves_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/room"
)

// TestBegin: an upgrade counts by the word of both rooms, once, and only where its sender may use the bot.
func TestBegin(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*world)
		want   int
	}{
		"both agree": {func(*world) {}, 1},
		"the new room names another": {func(w *world) {
			w.HS.Set(next, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice})
		}, 0},
		"the tombstone names another":   {func(w *world) { w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": other}) }, 0},
		"the old room is out of sight":  {func(w *world) { w.HS.Drop(old) }, 0},
		"its sender may not use it":     {func(w *world) { w.Moves.May = func(id.UserID) bool { return false } }, 0},
		"the bot itself has upgraded":   {func(w *world) { w.HS.Set(old, room.TypeTombstone, "", bot, object{"replacement_room": next}) }, 0},
		"the command that asked for it": {func(w *world) { w.asked() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			for range 2 {
				if err := w.Moves.Begin(t.Context(), next); err != nil {
					t.Fatal(err)
				}
			}
			w.Clock.Advance(time.Minute)
			due, err := w.Moves.Due(t.Context())
			if err != nil || len(due) != tt.want {
				t.Errorf("%+v %v", due, err)
			}
		})
	}
}

// asked records an upgrade that the homeserver was asked for.
func (w *world) asked() {
	if _, err := w.DB.BeginUpgrade(w.t.Context(), invites.Upgrade{Old: old, Actor: alice, CreatedAt: w.Clock.Now()}); err != nil {
		w.t.Fatal(err)
	}
}

// TestGone: an upgrade whose tombstone names another room by now is over, and nothing comes along.
func TestGone(t *testing.T) {
	w := newWorld(t)
	_ = invitestest.Directory{Homeserver: w.HS}.SetAlias(t.Context(), "#old:here", old, alice)
	w.HS.Set(old, room.TypeCanonicalAlias, "", alice, object{"alias": "#old:here"})
	if err := w.Moves.Begin(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": other})
	w.Clock.Advance(time.Minute)
	due, err := w.Moves.Due(t.Context())
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	if u, done, err := w.Moves.Run(t.Context(), due[0]); !done || err != nil || len(u.Notes) != 0 {
		t.Errorf("%v %v %v", done, notes(u), err)
	}
	if leads, _, _ := w.HS.Resolve(t.Context(), "#old:here"); leads != old {
		t.Errorf("the alias leads to %s", leads)
	}
}

// TestGoesOn: after trouble in a step, the upgrade goes on there, and after a day it is given up, with a word on it.
func TestGoesOn(t *testing.T) {
	w := newWorld(t)
	w.HS.Set(old, room.TypeCanonicalAlias, "", alice, object{"alias": "#old:here"})
	trouble := true
	w.HS.BeforeState = func() error {
		if trouble {
			return &invites.ActError{Class: invites.ClassFailed, Status: 500}
		}
		return nil
	}
	run := func() (invites.Upgrade, bool) {
		w.Clock.Advance(time.Minute)
		due, err := w.Moves.Due(t.Context())
		if err != nil || len(due) != 1 {
			t.Fatalf("%+v %v", due, err)
		}
		u, done, err := w.Moves.Run(t.Context(), due[0])
		if failed := invites.IsClass(err, invites.ClassFailed); failed != (trouble && !done) {
			t.Fatalf("%v", err)
		}
		return u, done
	}
	if err := w.Moves.Begin(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	before, _ := run()
	w.Build() // as after a restart
	if again, done := run(); done || again.Step != before.Step || before.Step == 0 {
		t.Errorf("%+v %+v", before, again)
	}
	trouble = false
	if u, done := run(); !done || !slices.Contains(notes(u), "move.state") {
		t.Errorf("%+v", notes(u))
	}
	trouble = true
	w.HS.Set(next, room.TypeCanonicalAlias, "", alice, object{})
	w.replace(next, other, alice)
	w.HS.Set(next, room.TypeCanonicalAlias, "", alice, object{"alias": "#old:here"})
	if err := w.Moves.Begin(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(25 * time.Hour)
	due, err := w.Moves.Due(t.Context())
	if err != nil || len(due) != 2 { // the first one is not told yet
		t.Fatal(due, err)
	}
	if u, done, err := w.Moves.Run(t.Context(), due[1]); !done || !slices.Contains(notes(u), "move.gave_up") {
		t.Errorf("%v %v %v", notes(u), done, err)
	}
	if _, err := w.DB.Upgrade(t.Context(), 99); !errors.Is(err, invites.ErrNotFound) {
		t.Error(err)
	}
}
