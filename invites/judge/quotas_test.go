package judge_test

import (
	"errors"
	"testing"
	"time"

	"usher/invites"
	"usher/invites/invitestest"
)

func TestQuotaSpentAndRefunded(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	w.Govern(object{"quota": object{"person": object{"count": 2, "per": "1h"}, "room": object{"count": 3, "per": "1d"}}})
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_INVITE_BLOCKED", Status: 403, Err: errors.New("no")}
	}
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@a:here"))); got != "refused M_INVITE_BLOCKED" {
		t.Errorf("got %s", got)
	}
	w.HS.Before = nil
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@a:here", "@b:here", "@c:here"))); got != "done done, done done, refused policy.quota.person" {
		t.Errorf("got %s", got)
	}
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@a:here"))); got != "done invite.already" {
		t.Errorf("what changes nothing costs nothing: %s", got)
	}
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, "@d:here", "@e:here"))); got != "done done, refused policy.quota.room" {
		t.Errorf("got %s", got)
	}
	lines, err := w.Judge.Quotas(t.Context(), lobby, carol)
	if err != nil || len(lines) != 2 || lines[0].Left != 0 || lines[1].Left != 0 || !lines[0].Grows.Equal(w.Clock.Now().Add(time.Hour)) {
		t.Errorf("got %+v %v", lines, err)
	}
	w.Clock.Advance(time.Hour)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@f:here"))); got != "refused policy.quota.room" {
		t.Errorf("an hour later: %s", got)
	}
	w.Clock.Advance(23 * time.Hour)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@f:here"))); got != "done done" {
		t.Errorf("a day later: %s", got)
	}
}
