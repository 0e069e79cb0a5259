package judge_test

import (
	"testing"
	"time"

	"usher/invites/invitestest"
)

func TestFactsOfTheRoom(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	w.Govern(object{"ask": object{"joined_for": "1h"}})
	w.HS.Member(lobby, carol, "leave")
	w.HS.Member(lobby, carol, "join")
	w.Clock.Advance(50 * time.Minute)
	w.HS.Set(lobby, "m.room.member", string(carol), carol, object{"membership": "join", "displayname": "C"})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.ask.joined_for" {
		t.Errorf("50 minutes in the room: %s", got)
	}
	w.Clock.Advance(10 * time.Minute)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "done done" {
		t.Errorf("an hour in the room, with a new name since: %s", got)
	}
	w.Govern(object{"whom": object{"cooldown": object{"decline": "1h", "kick": "1d"}}})
	w.HS.Member(lobby, bob, "leave")
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.whom.cooldown.decline" {
		t.Errorf("after declining: %s", got)
	}
	w.Clock.Advance(time.Hour)
	w.MustAsk(t, w.Request(t, carol, bob))
	w.HS.Member(lobby, bob, "join")
	w.HS.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "leave"})
	w.Clock.Advance(2 * time.Hour)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.whom.cooldown.kick" {
		t.Errorf("after being kicked: %s", got)
	}
	// Somebody by hand invites them, they decline: that they were kicked before still counts.
	w.HS.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "invite"})
	w.HS.Member(lobby, bob, "leave")
	w.Clock.Advance(2 * time.Hour)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.whom.cooldown.kick" {
		t.Errorf("kicked, invited and declined: %s", got)
	}
	w.Govern(object{"whom": object{"max_members": 4}})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.whom.max_members" {
		t.Errorf("a full room: %s", got)
	}
}
