package e2e

import (
	"net/http"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/fault"
	"usher/e2e/harness"
)

// TestHomeserverFaultsOnRealOnes: as TestHomeserverFaults, with a real homeserver behind the faults: each command meets the same one
// when the state is read, when it invites and when it is answered.
func TestHomeserverFaultsOnRealOnes(t *testing.T) {
	const patience = 3 * time.Second
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"appservice.request_timeout": patience.String(), "commands.per_minute": 0}})
	var script fault.Script
	faults := homeserverFaults(patience)
	rooms, guests, said := make([]id.RoomID, len(faults)), make([]id.UserID, len(faults)), make([]id.EventID, len(faults))
	for i, c := range faults {
		rooms[i], guests[i] = s.BotRoom(s.owner, harness.RoomOptions{Name: c.name}), s.Account("guest").ID
		s.settled(s.owner, rooms[i])
		for _, at := range faultyPlaces {
			f := c.f
			f.In, f.Method, f.Suffix, f.Times = string(rooms[i]), at.method, at.suffix, 1
			script.Add(f)
		}
	}
	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) { script.Serve(w, r, next) })
	for i := range faults {
		said[i] = s.owner.Say(rooms[i], "!invite "+string(guests[i]))
	}
	for i, c := range faults {
		s.owner.AwaitReaction(said[i], s.Usher.Bot, done)
		s.settled(s.owner, rooms[i])
		if n := invitations(s.owner, rooms[i], guests[i]); n != 1 {
			t.Errorf("%s: %d invitations", c.name, n)
		}
		s.answeredOnce(t, said[i])
	}
	if n := script.Unmet(); n > 0 {
		t.Errorf("%d faults were not met", n)
	}
}
