package requests_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
)

// brokenDisk is a store whose disk is full, as long as err is set.
type brokenDisk struct {
	requests.Store
	err error
}

func (f *brokenDisk) Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Record(ctx, rows, audit, charges...)
}

// TestFloodOfRefusals: refusals of callbacks store no rows, and share a bounded number of audit rows. A failed write loses none.
func TestFloodOfRefusals(t *testing.T) {
	w := newWorld(t)
	w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "whom": map[string]any{"deny_servers": []string{"evil.example"}}})
	disk := &brokenDisk{Store: w.Requests.Store, err: errors.New("disk full")}
	w.Requests.Store = disk
	ask := func(target string) {
		row, err := w.Requests.Native(t.Context(), lobby, alice, id.UserID(target))
		if err != nil || row.Status != invites.StatusRefused || row.Code != "policy.whom.server_denied" {
			t.Fatalf("%+v %v", row, err)
		}
		if rows, err := w.DB.ChangesOf(t.Context(), row.Request); err != nil || len(rows) > 0 {
			t.Errorf("stored: %v %v", rows, err)
		}
	}
	want := func(want ...string) {
		t.Helper()
		if err := w.Requests.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := w.DB.RecentAudit(t.Context(), invites.AuditQuery{Room: lobby}, 10)
		var got []string
		for _, row := range rows {
			got = append(got, fmt.Sprintf("%s %s", row.Target, row.Request[:strings.LastIndex(row.Request, ":")]))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, want %q, %v", got, want, err)
		}
	}
	ask("@one:evil.example")
	if err := w.Requests.Flush(t.Context()); !errors.Is(err, disk.err) {
		t.Fatal(err)
	}
	disk.err = nil
	want("@one:evil.example native")
	for range 300 {
		ask("@one:evil.example")
	}
	want("@one:evil.example native:refused=300", "@one:evil.example native")
	for i := range 3 {
		ask(fmt.Sprintf("@user%d:evil.example", i))
	}
	want(" native:refused=3", "@one:evil.example native:refused=300", "@one:evil.example native")
}
