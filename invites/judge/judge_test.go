package judge_test

import (
	"encoding/json"
	"testing"

	"usher/invites/invitestest"
	"usher/policy"
)

func TestDelegated(t *testing.T) {
	w := newWorld(t)
	w.Power(0)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused invite.power" {
		t.Errorf("without a policy: %s", got)
	}
	w.Govern(object{"delegate": true})
	rows := w.MustAsk(t, w.Request(t, carol, bob))
	if got := invitestest.Outcomes(rows); got != "done done" || rows[0].Performer != bot {
		t.Errorf("got %s by %s", got, rows[0].Performer)
	}
	rows = w.MustAsk(t, w.Request(t, alice, "@dan:here"))
	if rows[0].Performer != alice {
		t.Errorf("who has the power is lent none: sent by %s", rows[0].Performer)
	}
	audit, err := w.DB.Audit(t.Context(), rows[0].Request)
	if err != nil || len(audit) == 0 || audit[0].Policy == "" {
		t.Errorf("the audit does not name the policy: %+v %v", audit, err)
	}
}

// TestMalformedPolicyDenies, of the room's own and of its space's.
func TestMalformedPolicyDenies(t *testing.T) {
	w := newWorld(t)
	w.Govern(object{"nonsense": true})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, bob))); got != "refused policy.malformed" {
		t.Errorf("got %s", got)
	}
	w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(`{}`))
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, bob))); got != "done done" {
		t.Errorf("emptied: %s", got)
	}
}
