package delivery_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

// down is the answer of a homeserver with trouble.
var down = &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("down")}

// TestTakenBackBeforeItIsSent: a withdrawal ends an invitation that waits, for the user who asked for it and for users with the power to kick,
// and it is never sent then.
func TestTakenBackBeforeItIsSent(t *testing.T) {
	for _, tt := range []struct {
		name     string
		actor    string
		waits    func(*world)
		withdraw string // the outcome of the withdrawal
		row      invites.Status
	}{
		{"retried, by the asker", "carol", nil, "done withdraw.unsent", invites.StatusCancelled},
		{"retried, with the power to kick", "alice", nil, "done withdraw.unsent", invites.StatusCancelled},
		{"retried, by another member", "remote", nil, "refused kick.power", invites.StatusOpen},
		{"waits for approval, by the asker", "carol", approval, "done withdraw.unsent", invites.StatusCancelled},
		{"waits for approval, with the power to kick", "alice", approval, "done withdraw.unsent", invites.StatusCancelled},
		{"waits for approval, by another member", "remote", approval, "refused kick.power", invites.StatusWaiting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"invite": 0, "users": object{string(alice): 100}})
			w.HS.Before = func(invites.Effect) error { return down }
			if tt.waits != nil {
				tt.waits(w)
			}
			asked := w.Request(t, carol, bob)
			w.MustAsk(t, asked)
			req := w.Request(t, map[string]id.UserID{"carol": carol, "alice": alice, "remote": invitestest.Remote}[tt.actor], bob)
			req.Action = policy.ActionWithdraw
			judged, err := w.DryRun(t.Context(), req)
			if err != nil || (judged[0].Decision.Verdict == room.Allow) != (tt.row == invites.StatusCancelled) {
				t.Errorf("judged %+v %v", judged, err)
			}
			if got := invitestest.Outcomes(w.MustAsk(t, req)); got != tt.withdraw {
				t.Errorf("the withdrawal is %s, want %s", got, tt.withdraw)
			}
			rows, err := w.Progress(t.Context(), asked.Command)
			if err != nil || rows[0].Status != tt.row {
				t.Errorf("%+v %v", rows, err)
			}
			w.HS.Before = nil
			w.Clock.Advance(time.Minute)
			if _, err := w.Delivery.Deliver(t.Context(), rows[0].ID); err != nil {
				t.Fatal(err)
			}
			if invited := w.Membership(t, bob) == "invite"; invited != (tt.row == invites.StatusOpen) {
				t.Errorf("invited: %v", invited)
			}
		})
	}
}

// approval has invitations wait for approval.
func approval(w *world) {
	w.Govern(object{"approval": object{"required": true}})
}

// TestTakenBackWhileItIsSent: a withdrawal waits for an attempt under way, and takes back what it did.
func TestTakenBackWhileItIsSent(t *testing.T) {
	w := newWorld(t)
	asked := w.Request(t, alice, bob)
	withdraw := w.Request(t, alice, bob)
	withdraw.Action = policy.ActionWithdraw
	var rows []invites.Change
	w.HS.Before = func(invites.Effect) error {
		w.HS.Before = nil
		rows = w.MustAsk(t, withdraw)
		return nil
	}
	if got := invitestest.Outcomes(w.MustAsk(t, asked)); got != "done done" {
		t.Fatal(got)
	}
	if got := invitestest.Outcomes(rows); got != "open withdraw.unsent" {
		t.Fatalf("while it is sent: %s", got)
	}
	w.Clock.Advance(time.Minute)
	if o, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID)); err != nil || o.Status != invites.StatusDone || w.Membership(t, bob) != "leave" {
		t.Errorf("%+v %v, bob is %q", o, err, w.Membership(t, bob))
	}
}

// TestStop ends all that waits of one command.
func TestStop(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(e invites.Effect) error {
		if e.Target == bob {
			return nil
		}
		return down
	}
	req := w.Request(t, alice, bob, "@d:here", "@e:here", "@f:here", "@g:here")
	w.MustAsk(t, req)
	if err := w.Delivery.Stop(t.Context(), string(req.Command)); err != nil {
		t.Fatal(err)
	}
	rows, err := w.Progress(t.Context(), req.Command)
	if err != nil || rows[0].Status != invites.StatusDone {
		t.Errorf("%+v %v", rows, err)
	}
	if slices.ContainsFunc(rows[1:], func(row invites.Change) bool { return row.Status != invites.StatusCancelled || row.Detail.Empty() }) {
		t.Errorf("%+v", rows)
	}
}

// TestChargeOfStopped: an invitation that certainly was not sent counts against no quota when it is stopped. One whose answer was lost may
// have been sent, and counts.
func TestChargeOfStopped(t *testing.T) {
	limited := &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: time.Minute, Err: errors.New("limited")}
	for want, answer := range map[string]*invites.ActError{"done done": limited, "refused policy.quota.person": down} {
		w := newWorld(t)
		w.Govern(object{"quota": object{"person": object{"count": 1, "per": "1h"}}})
		w.HS.Before = func(invites.Effect) error { return answer }
		req := w.Request(t, alice, bob)
		w.MustAsk(t, req)
		if err := w.Delivery.Stop(t.Context(), string(req.Command)); err != nil {
			t.Fatal(err)
		}
		w.HS.Before = nil
		w.Clock.Advance(5 * time.Minute)
		if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, "@d:here"))); got != want {
			t.Errorf("after %v: %s, want %s", answer, got, want)
		}
	}
}

// TestStopWhileItIsSent: a row that is stopped during an attempt gets no further one.
func TestStopWhileItIsSent(t *testing.T) {
	w := newWorld(t)
	asked := w.Request(t, alice, bob)
	w.HS.Before = func(invites.Effect) error {
		if err := w.Delivery.Stop(t.Context(), string(asked.Command)); err != nil {
			t.Error(err)
		}
		return down
	}
	if got := invitestest.Outcomes(w.MustAsk(t, asked)); got != "cancelled withdraw.in_time" {
		t.Errorf("the row is %s", got)
	}
}

// TestLimitIsNamed: a row that waits for a limit of the homeserver says which limit it seems to be.
func TestLimitIsNamed(t *testing.T) {
	limited := func(wait time.Duration) error {
		return &invites.ActError{Class: invites.ClassLater, Code: invites.CodeLimited, Status: 429, RetryAfter: wait}
	}
	for wait, want := range map[time.Duration]string{5 * time.Minute: "limit.target", 3 * time.Second: "limit.some"} {
		w := newWorld(t)
		w.HS.Before = func(invites.Effect) error { return limited(wait) }
		row := w.MustAsk(t, w.Request(t, alice, bob))[0]
		if row.Status != invites.StatusOpen || row.Detail.Key != want {
			t.Errorf("%s: %s %+v, want %s", wait, row.Status, row.Detail, want)
		}
	}
}
