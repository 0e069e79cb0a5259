package delivery_test

import (
	"context"
	"testing"

	"usher/invites"
	"usher/invites/invitestest"
)

func TestShutdownLetsGoOfTheRow(t *testing.T) {
	w := newWorld(t)
	w.AtOnce = 0
	rows := w.MustAsk(t, w.Request(t, alice, bob))
	ctx, stop := context.WithCancel(t.Context())
	w.HS.Before = func(invites.Effect) error {
		stop()
		return &invites.ActError{Class: invites.ClassFailed, Err: ctx.Err()}
	}
	if _, err := invitestest.One(w.Delivery.Deliver(ctx, rows[0].ID)); err != nil {
		t.Fatal(err)
	}
	if due, err := w.DB.Due(t.Context(), w.Clock.Now(), 0, 10); err != nil || len(due) != 1 {
		t.Errorf("due %v %v, want the row at once", due, err)
	}
}
