package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func testGuard(t *testing.T, s Store) {
	ctx := t.Context()
	const r = id.RoomID("!room:example.org")
	if _, err := s.Watch(ctx, r); !errors.Is(err, invites.ErrNotFound) {
		t.Fatal(err)
	}
	w := invites.Watch{Room: r, Policy: "$a $b ", Told: []string{"$x watch\x00"}, Rounds: []invites.Round{{Event: "$x\x00", At: epoch}}}
	check(t, s.SetWatch(ctx, w))
	check(t, s.SetWatch(ctx, invites.Watch{Room: "!other:example.org"}))
	w.Stopped, w.Rounds = true, append(w.Rounds, invites.Round{Event: "$y", At: epoch.Add(time.Second)})
	check(t, s.SetWatch(ctx, w))
	if got := must(s.Watch(ctx, r))(t); !reflect.DeepEqual(got, w) {
		t.Errorf("got %+v, want %+v", got, w)
	}
	if got := must(s.Guarded(ctx))(t); len(got) != 2 {
		t.Errorf("guarded: %v", got)
	}
	check(t, s.EndWatch(ctx, r))
	check(t, s.EndWatch(ctx, r))
	if got := must(s.Guarded(ctx))(t); len(got) != 1 || got[0] != "!other:example.org" {
		t.Errorf("guarded: %v", got)
	}
}

func testAsked(t *testing.T, s Store) {
	ctx := t.Context()
	rows := must(s.Record(ctx, invitations(1, 4), nil))(t)
	asked := func(n int, since time.Time) bool {
		i := invitation(n)
		return must(s.Asked(ctx, i.Room, i.Target, i.Performer, since))(t)
	}
	if asked(1, epoch) {
		t.Error("asked, but not tried")
	}
	for _, row := range rows[:2] {
		_, _, err := s.Claim(ctx, row.ID, epoch, time.Minute)
		check(t, err)
	}
	if !asked(1, epoch) || asked(3, epoch) {
		t.Error("under way")
	}
	check(t, s.Settle(ctx, invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.Done, At: epoch},
		invites.Settlement{ID: rows[1].ID, Attempt: 1, Status: invites.Refused, At: epoch}))
	if !asked(1, epoch) || asked(1, epoch.Add(time.Second)) || asked(2, epoch) {
		t.Error("settled")
	}
	if i := invitation(1); must(s.Asked(ctx, i.Room, i.Target, i.Actor, epoch))(t) {
		t.Error("by somebody else")
	}
}
