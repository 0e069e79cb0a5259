package requests_test

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
)

// TestSecondInvitationIsToldOfTheFirst: while an invitation waits, another one by the same sender makes no second row, unless the bot sends it
// instead, which may be free of the limit for which the first one waits.
func TestSecondInvitationIsToldOfTheFirst(t *testing.T) {
	for _, targets := range []int{1, 30} {
		w := newWorld(t)
		w.Power(100)
		w.AtOnce = 100
		w.HS.Before = func(e invites.Effect) error {
			if e.Performer == bot {
				return nil
			}
			return &invites.ActError{Class: invites.ClassLater, Code: invites.CodeLimited, Status: 429, RetryAfter: 5 * time.Minute}
		}
		people := []id.UserID{bob}
		for n := 1; n < targets; n++ {
			people = append(people, id.UserID(fmt.Sprintf("@guest%d:here", n)))
		}
		w.MustAsk(t, w.Request(t, alice, people...))
		again := w.MustAsk(t, w.Request(t, alice, people...))
		for _, row := range again {
			if row.Status != invites.StatusRefused || row.Code != invites.CodeQueued || row.Detail.Args["wait"] != "5m0s" || len(row.Detail.Parts) != 1 {
				t.Fatalf("%d targets: %s %s %+v", targets, row.Status, row.Code, row.Detail)
			}
		}
		other := w.MustAsk(t, w.Request(t, carol, people[0]))
		if got := invitestest.Outcomes(other); got == "refused invite.queued" {
			t.Errorf("carol sends hers herself: %s", got)
		}
		asBot := w.Request(t, alice, people[0])
		asBot.AsBot = true
		if got := invitestest.Outcomes(w.MustAsk(t, asBot)); got != "done done" {
			t.Errorf("as the bot: %s", got)
		}
	}
}
