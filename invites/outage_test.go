package invites_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/room"
)

// outage is a homeserver that is gone until a time.
type outage struct {
	*invitestest.Homeserver
	clock    invites.Clock
	until    time.Time
	requests int // while it was gone
}

func (o *outage) gone() error {
	if !o.clock.Now().Before(o.until) {
		return nil
	}
	o.requests++
	return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("connection refused")}
}

func (o *outage) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	if err := o.gone(); err != nil {
		return nil, err
	}
	return o.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
}

func (o *outage) Act(ctx context.Context, e invites.Effect) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.Homeserver.Act(ctx, e)
}

func (o *outage) Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error) {
	if err := o.gone(); err != nil {
		return false, err
	}
	return o.Homeserver.Redacted(ctx, r, viewer, event)
}

// sweep delivers what the sweep finds, every five seconds, as after a queue that has lost all wake-ups.
func (q *queued) sweep(t *testing.T, end time.Time) {
	t.Helper()
	for ; q.clock.Now().Before(end); q.clock.Advance(5 * time.Second) {
		rows, err := q.db.Due(t.Context(), q.clock.Now(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if _, err := q.Delivery.Deliver(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHourOfOutage: the homeserver is gone for an hour while forty invitations wait. It is asked about once in five minutes for
// each; when it is back all are made within that time, none twice, and the user knows all along.
func TestHourOfOutage(t *testing.T) {
	for name, restart := range map[string]bool{"by wake-ups": false, "by the sweep, after a restart": true} {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, func(*queued) func(invites.Effect) error { return func(invites.Effect) error { return nil } })
			start := q.clock.Now()
			gone := &outage{Homeserver: q.hs, clock: q.clock}
			q.in.Homeserver, q.in.AtOnce = gone, 0
			q.build()
			asked := q.askIn(t, lobby, alice, guests(40))
			gone.until = start.Add(time.Hour)
			q.run(t, start.Add(30*time.Minute))
			rows, err := q.Progress(t.Context(), asked[0].Command)
			if err != nil {
				t.Fatal(err)
			}
			reply := commands.Outcome(rows, q.clock.Now())
			if text := reply.Text.String(); !strings.Contains(text, "0 of 40 done; the homeserver has trouble; I try again in about ") {
				t.Errorf("the user is told: %s", text)
			}
			end := gone.until.Add(5*time.Minute + 10*time.Second)
			if restart {
				q.build()
				q.waits = nil
				q.sweep(t, end)
			} else {
				q.run(t, end)
			}
			q.invited(t, 40)
			if each := gone.requests / 40; each > 25 {
				t.Errorf("%d requests for each while it was gone", each)
			}
			t.Logf("%d requests while it was gone; the last was invited %s after", gone.requests, q.last.Sub(gone.until))
			if rows, err = q.Progress(t.Context(), asked[0].Command); err != nil || commands.Outcome(rows, q.clock.Now()).React != "✅" {
				t.Errorf("not answered by a reaction: %v", err)
			}
		})
	}
}
