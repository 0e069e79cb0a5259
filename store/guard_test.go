package store_test

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
