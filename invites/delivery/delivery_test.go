package delivery_test

import (
	"context"
	"testing"
	"time"

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

// TestClockSetForward: a lease ends by the wall clock, but no second attempt begins while the first is under way, by whichever way.
func TestClockSetForward(t *testing.T) {
	w := newWorld(t)
	w.AtOnce = 0
	rows := w.MustAsk(t, w.Request(t, alice, bob))
	acts := 0
	w.HS.Before = func(invites.Effect) error {
		acts++
		w.Clock.Advance(24 * time.Hour)
		if outcomes, err := w.Delivery.Deliver(t.Context(), rows[0].ID); err != nil || outcomes[0].Status != "" {
			t.Errorf("the queue begins another attempt: %+v %v", outcomes, err)
		}
		again := rows[0]
		if err := w.Delivery.Now(t.Context(), []*invites.Change{&again}, nil); err != nil {
			t.Errorf("a lane: %v", err)
		}
		return nil
	}
	if o, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID)); err != nil || o.Status != invites.StatusDone || acts != 1 {
		t.Errorf("%+v %v, %d requests", o, err, acts)
	}
	w.HS.Before = nil
	if o, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID)); err != nil || o.Status != "" {
		t.Errorf("a settled row: %+v %v", o, err)
	}
}
