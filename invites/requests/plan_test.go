package requests_test

import (
	"context"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/room"
)

// killedStore counts the rows of each commit; the process ends at one of them.
type killedStore struct {
	requests.Store
	commits []int
	at      int
}

// Record implements requests.Store.
func (s *killedStore) Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error) {
	if s.commits = append(s.commits, len(rows)); len(s.commits) == s.at {
		return nil, errors.New("killed")
	}
	return s.Store.Record(ctx, rows, audit, charges...)
}

// TestPlanIsRecordedInBatches: a request of a plan goes on where it was interrupted. Each person has one row for each action, and is decided on once.
func TestPlanIsRecordedInBatches(t *testing.T) {
	w := newWorld(t)
	store := &killedStore{Store: w.Requests.Store, at: 3}
	w.Requests.Store = store
	req := requests.Request{Origin: invites.OriginPlan, Key: invites.PlanRequest + "key", Actor: alice, Action: room.Invite, Room: lobby, Targets: crowd(450)}
	asking := requests.Planning{Requests: w.Requests}
	if err := asking.Plan(t.Context(), req); err == nil {
		t.Fatal("it was not killed")
	}
	for range 2 {
		if err := asking.Plan(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	kick := req
	kick.Action, kick.Targets = room.Kick, req.Targets[:2]
	if err := asking.Plan(t.Context(), kick); err != nil {
		t.Fatal(err)
	}
	for _, n := range store.commits {
		if n > 200 {
			t.Errorf("%d rows in one commit", n)
		}
	}
	rows, err := w.DB.ChangesOf(t.Context(), req.Key)
	if err != nil {
		t.Fatal(err)
	}
	once := map[id.UserID]int{}
	for _, row := range rows {
		once[row.Target]++
	}
	if len(rows) != 452 || len(once) != 450 || len(store.commits) != 5 {
		t.Errorf("%d rows of %d people in %v", len(rows), len(once), store.commits)
	}
	audit, err := w.DB.Audit(t.Context(), req.Key)
	if err != nil || len(audit) != 452 {
		t.Errorf("%d decisions, %v", len(audit), err)
	}
	woken := map[int64]bool{}
	for _, turn := range w.Queue.Take() {
		woken[turn.Row] = true
	}
	if len(woken) != 450 { // nobody can be removed who is not there
		t.Errorf("%d rows are in the queue", len(woken))
	}
}

// TestPlanAsksNobody: where the policy wants people's approval, a plan's invitation is refused; it would ask for hundreds at once.
func TestPlanAsksNobody(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	w.Govern(object{"approval": object{"required": true}})
	req := requests.Request{Origin: invites.OriginPlan, Key: invites.PlanRequest + "key", Actor: carol, Action: room.Invite, Room: lobby, Targets: []id.UserID{bob}}
	if err := (requests.Planning{Requests: w.Requests}).Plan(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	rows, err := w.DB.ChangesOf(t.Context(), req.Key)
	if err != nil || invitestest.Outcomes(rows) != "refused policy.approval.required" {
		t.Errorf("%s %v", invitestest.Outcomes(rows), err)
	}
}
