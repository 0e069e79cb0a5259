package requests_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/store"
)

// commits counts claims, each of which is a commit.
type commits struct {
	*store.Store
	claims int
}

// Claim counts a claim.
func (c *commits) Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) ([]invites.Change, error) {
	c.claims++
	return c.Store.Claim(ctx, rows, now, lease)
}

// TestFirstIsClaimedWithItsRecord has nobody else deliver the first row of a command meanwhile, without a claim of its own.
func TestFirstIsClaimedWithItsRecord(t *testing.T) {
	w := newWorld(t)
	count := &commits{Store: w.DB}
	w.Domain = invitestest.New(count, w.In)
	w.HS.Before = func(invites.Effect) error {
		rows, err := w.DB.ChangesOf(t.Context(), "$command1")
		if err != nil {
			t.Error(err)
		}
		for _, row := range rows {
			if row.Target == bob && row.Status == invites.StatusOpen {
				if outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), row.ID)); err != nil || outcome.Status != "" {
					t.Errorf("delivered beside: %v %v", outcome, err)
				}
			}
		}
		return nil
	}
	rows := w.MustAsk(t, w.Request(t, alice, bob, "@dora:here"))
	if len(rows) != 2 || rows[0].Status != invites.StatusDone || rows[1].Status != invites.StatusDone || len(w.HS.Acts()) != 2 {
		t.Errorf("got %+v after %v", rows, w.HS.Acts())
	}
	if count.claims != 2 { // the one beside, and the second row's
		t.Errorf("%d claims", count.claims)
	}
	stored, err := w.Progress(t.Context(), "$command1")
	if err != nil || len(stored) != 2 || stored[0].Status != rows[0].Status || stored[0].Code != rows[0].Code || stored[0].Attempt != 1 {
		t.Errorf("stored %+v %v, returned %+v", stored, err, rows)
	}
}

// TestCrashAfterRecord asks again for a command whose first row is claimed by a process that is gone: it is delivered once.
func TestCrashAfterRecord(t *testing.T) {
	w := newWorld(t)
	req := w.Request(t, alice, bob)
	w.HS.Before = func(invites.Effect) error { panic("crash") }
	func() {
		defer func() { _ = recover() }()
		w.MustAsk(t, req)
	}()
	w.HS.Before = nil
	if row := w.MustAsk(t, req)[0]; row.Status != invites.StatusOpen || len(w.HS.Acts()) != 0 {
		t.Errorf("got %+v, want it left to whoever holds the lease", row)
	}
	free := w.Clock.Now().Add(2 * time.Second)
	if rows, err := w.DB.Release(t.Context(), free); err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	var under *invites.UnderWayError
	if rows, err := w.Ask(t.Context(), req); !errors.As(err, &under) || under.Until.UnixMilli() != free.UnixMilli() {
		t.Errorf("got %+v %v, want to be told that it is free in a moment", rows, err)
	}
	w.Clock.Advance(2 * time.Second)
	if row := w.MustAsk(t, req)[0]; row.Status != invites.StatusDone || row.Attempt != 3 || len(w.HS.Acts()) != 1 {
		t.Errorf("got %+v after %v", row, w.HS.Acts())
	}
}

// TestQuotaOfManyAtOnce: commands from different rooms, and so from different lanes, share a quota.
func TestQuotaOfManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	w.Govern(object{"quota": object{"room": object{"count": 4, "per": "1h"}}})
	var requests []requests.Request
	for i := range 12 {
		requests = append(requests, w.Request(t, carol, id.UserID(fmt.Sprintf("@p%d:here", i))))
	}
	var all sync.WaitGroup
	for _, req := range requests {
		all.Go(func() {
			if _, err := w.Ask(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(w.HS.Acts()); n != 4 {
		t.Errorf("%d were sent of 4", n)
	}
}

// TestRefusalsAreShort: of a command that names thousands who are all refused, a few rows keep the reason and the detail.
func TestRefusalsAreShort(t *testing.T) {
	w := newWorld(t)
	w.Govern(map[string]any{"whom": map[string]any{"deny_servers": []string{"bad.example"}}})
	var targets []id.UserID
	for i := range 200 {
		targets = append(targets, id.UserID(fmt.Sprintf("@x%d:bad.example", i)))
	}
	req := w.Request(t, alice, targets...)
	req.Reason = strings.Repeat("r", 1000)
	w.MustAsk(t, req)
	rows, err := w.Progress(t.Context(), req.Command)
	if err != nil || len(rows) != len(targets) {
		t.Fatalf("%d rows %v", len(rows), err)
	}
	long := 0
	for _, row := range rows {
		if row.Status != invites.StatusRefused || row.Code == "" {
			t.Fatalf("got %+v, want it refused, with a code", row)
		}
		if row.Reason != "" || !row.Detail.Empty() {
			long++
		}
	}
	if long != 30 {
		t.Errorf("%d rows keep the reason, want 30", long)
	}
	if again := w.MustAsk(t, req); len(again) != len(targets) || len(w.HS.Acts()) != 0 {
		t.Errorf("asked again: %d rows, %d acts", len(again), len(w.HS.Acts()))
	}
}
