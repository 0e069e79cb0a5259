package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	homeservers "usher/e2e/homeserver"
)

// real measures on a real homeserver how long it takes from sending the message with a command until the homeserver has made the invitation, and
// Usher's own share of that: the time from the arrival of the transaction at Usher to the request for the invitation, without the
// time for which Usher waits for other answers of the homeserver. The proxies on both sides of Usher count as its own.
func (b *bench) real(w string, kind homeservers.Kind) error {
	if kind == homeservers.Synapse && os.Getenv("USHER_E2E_SYNAPSE_ROOT") == "" {
		fmt.Fprintln(os.Stderr, "left out: USHER_E2E_SYNAPSE_ROOT is not set (e2e/synapse-sid prints it)")
		return nil
	}
	return played(func(t *player) {
		world := harness.New(t, harness.Options{Kind: kind, Puppet: true, Set: map[string]any{"commands.per_minute": 0}})
		owner := world.Account("owner")
		var guests []*harness.Account
		for range 10 {
			guests = append(guests, world.Account("guest"))
		}
		for round := range b.rounds + 1 {
			room := world.BotRoom(owner, harness.RoomOptions{})
			for i, guest := range guests {
				began := time.Now()
				said := owner.Say(room, "!invite "+string(guest.ID))
				whole, own := measure(t, world, room, said, began)
				if round > 0 && i > 0 { // the first round opens connections, the first command reads the room's state
					b.table.add(w, "from message to invitation", "ms", "usher", whole)
					b.table.add(w, "Usher's own time", "ms", "usher", own)
					b.table.add(w, "Usher's own share", "%", "usher", 100*own/whole)
				}
				owner.AwaitReaction(said, world.Usher.Bot, "✅")
			}
		}
	})
}

// measure returns the times of one command in milliseconds.
func measure(t *player, world *harness.World, room id.RoomID, said id.EventID, began time.Time) (whole, own float64) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	invite, err := world.Usher.Tap.Await(ctx, func(r harness.Request) bool {
		return r.Began.After(began) && strings.Contains(r.Path, string(room)) && strings.HasSuffix(r.Path, "/invite")
	})
	if err == nil {
		_, err = world.Door.AwaitEvent(ctx, func(e harness.Event) bool { return e.ID == string(said) })
	}
	if err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	at := world.Door.Carrying(string(said)).Came
	others := world.Usher.Tap.Requests(func(r harness.Request) bool { return r.Ended.After(at) && r.Began.Before(invite.Began) })
	slices.SortFunc(others, func(a, b harness.Request) int { return a.Began.Compare(b.Began) })
	busy := time.Duration(0)
	for _, r := range others { // side by side, they count once
		if r.Began.Before(at) {
			r.Began = at
		}
		if r.Ended.After(invite.Began) {
			r.Ended = invite.Began
		}
		if r.Ended.After(r.Began) {
			busy += max(0, r.Began.Sub(at))
			at = r.Ended
		}
	}
	busy += max(0, invite.Began.Sub(at))
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return milliseconds(invite.Ended.Sub(began)), milliseconds(busy)
}

// player implements harness.T outside of a test.
type player struct {
	ctx      context.Context
	cleanups []func()
	failure  error
}

// played runs a function with a player, and ends all it has started.
func played(play func(*player)) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := &player{ctx: ctx}
	defer func() {
		if cause := recover(); cause != nil && t.failure == nil {
			panic(cause)
		}
		for _, clean := range slices.Backward(t.cleanups) {
			clean()
		}
		err = errors.Join(err, t.failure)
	}()
	play(t)
	return nil
}

// The methods implement harness.T.

func (t *player) Helper() {}

func (t *player) Fatalf(format string, args ...any) {
	t.failure = errors.Join(t.failure, fmt.Errorf(format, args...))
	panic(t.failure)
}

func (t *player) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (t *player) Context() context.Context { return t.ctx }

func (t *player) Cleanup(clean func()) { t.cleanups = append(t.cleanups, clean) }

func (t *player) Failed() bool { return t.failure != nil }
