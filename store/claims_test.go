package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/invites"
)

func testClaim(t *testing.T, s Store) {
	ctx := t.Context()
	row := must(s.Record(ctx, invitations(0, 1), nil))(t)[0]
	lease := time.Minute
	for _, tt := range []struct {
		name string
		now  time.Time
		want int // attempt, 0: not claimed
	}{
		{"open", epoch, 1},
		{"leased", epoch.Add(lease - time.Millisecond), 0},
		{"lease over", epoch.Add(lease), 2},
		{"leased again", epoch.Add(lease), 0},
	} {
		got, ok, err := claimOne(ctx, s, row.ID, tt.now, lease)
		check(t, err)
		if ok != (tt.want > 0) || got.Attempt != tt.want {
			t.Fatalf("%s: claimed %v, attempt %d", tt.name, ok, got.Attempt)
		}
		if ok && (!got.LeasedUntil.Equal(tt.now.Add(lease)) || got.Target != row.Target || got.ID != row.ID) {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
	if _, ok, err := claimOne(ctx, s, row.ID+1000, epoch, lease); ok || err != nil {
		t.Errorf("no such row: %v, %v", ok, err)
	}
	check(t, s.Settle(ctx, invites.Settlement{ID: row.ID, Attempt: 2, Status: invites.StatusDone, At: epoch}))
	if _, ok, err := claimOne(ctx, s, row.ID, epoch.Add(time.Hour), lease); ok || err != nil {
		t.Errorf("settled row: %v, %v", ok, err)
	}
}

func testClaimConcurrently(t *testing.T, s Store) {
	rows := must(s.Record(t.Context(), invitations(0, 10), nil))(t)
	var wg sync.WaitGroup
	var claims atomic.Int32
	for range 6 {
		wg.Go(func() {
			for _, r := range rows {
				_, ok, err := claimOne(t.Context(), s, r.ID, epoch, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if ok {
					claims.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if claims.Load() != 10 {
		t.Errorf("%d claims on 10 rows", claims.Load())
	}
}

// claimOne claims a row by itself, and tells whether it could.
func claimOne(ctx context.Context, s Store, row int64, now time.Time, lease time.Duration) (invites.Change, bool, error) {
	claimed, err := s.Claim(ctx, []int64{row}, now, lease)
	if err != nil || len(claimed) == 0 {
		return invites.Change{}, false, err
	}
	return claimed[0], true, nil
}

// testClaimMany claims rows together. Rows leased or settled are left out.
func testClaimMany(t *testing.T, s Store) {
	ctx := t.Context()
	rows := must(s.Record(ctx, invitations(0, 4), nil))(t)
	claim(t, s, epoch, rows[1])
	ids := []int64{rows[3].ID, rows[1].ID, rows[0].ID + 1000, rows[0].ID, rows[0].ID}
	claimed := must(s.Claim(ctx, ids, epoch, time.Minute))(t)
	if len(claimed) != 2 || claimed[0].ID != rows[3].ID || claimed[1].ID != rows[0].ID || claimed[1].Attempt != 1 {
		t.Errorf("got %+v, want rows 3 and 0", claimed)
	}
	if none := must(s.Claim(ctx, nil, epoch, time.Minute))(t); len(none) != 0 {
		t.Errorf("got %+v of nothing", none)
	}
	if due := must(s.Due(ctx, epoch, 0, 10))(t); len(due) != 1 || due[0] != rows[2].ID {
		t.Errorf("%v are due, want row 2", due)
	}
}

// claim claims free rows.
func claim(t *testing.T, s Store, now time.Time, rows ...invites.Change) (claimed []invites.Change) {
	t.Helper()
	for _, r := range rows {
		c, ok, err := claimOne(t.Context(), s, r.ID, now, time.Minute)
		check(t, err)
		if !ok {
			t.Fatalf("row %d can't be claimed", r.ID)
		}
		claimed = append(claimed, c)
	}
	return claimed
}

// testClockSetBack: rows due after now become due earlier, others stay. The last time of writing comes from the audit and the inbox.
func testClockSetBack(t *testing.T, s Store) {
	ctx := t.Context()
	if last := must(s.LastWritten(ctx))(t); !last.IsZero() {
		t.Errorf("an empty database was written at %v", last)
	}
	rows := must(s.Record(ctx, invitations(0, 3), []invites.Audit{{At: epoch.Add(time.Hour)}}))(t)
	claim(t, s, epoch, rows...)
	for i, due := range []time.Duration{-time.Minute, time.Hour + time.Minute, time.Hour} {
		check(t, s.Settle(ctx, invites.Settlement{ID: rows[i].ID, Attempt: 1, Status: invites.StatusOpen, DueAt: epoch.Add(due), At: epoch}))
	}
	if last := must(s.LastWritten(ctx))(t); !last.Equal(epoch.Add(time.Hour)) {
		t.Errorf("written at %v", last)
	}
	must(s.Receive(ctx, []invites.Received{{Event: "$late", Room: "!r", SentAt: epoch, ReceivedAt: epoch.Add(2 * time.Hour)}}))(t)
	if last := must(s.LastWritten(ctx))(t); !last.Equal(epoch.Add(2 * time.Hour)) {
		t.Errorf("written at %v", last)
	}
	if n := must(s.Sooner(ctx, epoch, time.Hour))(t); n != 2 {
		t.Errorf("%d rows are due earlier", n)
	}
	for i, due := range []time.Duration{-time.Minute, time.Minute, 0} {
		row := must(s.ChangesOf(ctx, rows[i].Request))(t)[i]
		if !row.DueAt.Equal(epoch.Add(due)) {
			t.Errorf("row %d is due at %v", i, row.DueAt)
		}
	}
}
