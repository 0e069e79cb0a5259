package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// Run is one carrying out of a wish: its steps, which do not change, and how they ended.
type Run struct {
	Key     string    `json:"key"`
	Plan    string    `json:"plan"`
	Manager id.UserID `json:"manager,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Steps   []Step    `json:"steps"`

	CreatedAt time.Time `json:"created_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Open      int       `json:"open,omitempty"` // steps that are not settled yet; not kept

	unreported time.Time // of the first report that failed
}

// request is the key of the rows of a run in one room.
func (r *Run) request(in id.RoomID) string { return invites.PlanRequest + r.Key + " " + string(in) }

// row is the run as the store keeps it.
func (r *Run) row() (invites.PlanRun, error) {
	content, err := json.Marshal(r)
	return invites.PlanRun{Key: r.Key, Plan: r.Plan, Content: string(content), CreatedAt: r.CreatedAt, EndedAt: r.EndedAt}, err
}

// readRun reads a run from its row.
func readRun(row invites.PlanRun) (*Run, error) {
	r := new(Run)
	err := json.Unmarshal([]byte(row.Content), r)
	return r, err
}

// Store keeps runs. Every method is one commit.
type Store interface {
	Facts
	// PlanRun returns a run, or ErrNotFound.
	PlanRun(ctx context.Context, key string) (invites.PlanRun, error)
	// PlanOf returns the name of the plan of a run, or ErrNotFound.
	PlanOf(ctx context.Context, key string) (string, error)
	// OpenPlanRuns returns the runs under way, the oldest first.
	OpenPlanRuns(ctx context.Context) ([]invites.PlanRun, error)
	// SavePlanRun keeps a run as it is now, with audit rows in the same commit.
	SavePlanRun(ctx context.Context, run invites.PlanRun, audit ...invites.Audit) error
	// NotePlan adds notes, or replaces them, and removes others.
	NotePlan(ctx context.Context, add, remove []invites.PlanNote) error
	// ChangesOf returns the rows of one request, by ID.
	ChangesOf(ctx context.Context, request string) ([]invites.Change, error)
}

// Requester decides and records.
type Requester interface {
	Foreseer
	// Plan decides on the targets, records the rows in batches and has them delivered. Asked again for the same key, it goes on where it was.
	Plan(ctx context.Context, req requests.Request) error
}

// StateSetter sets state, without retries of its own.
type StateSetter interface {
	Homeserver
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
}

// Runner carries runs out. All fields are required.
type Runner struct {
	Store      Store
	Homeserver StateSetter
	Requests   Requester
	Policies   *judge.Policies
	History    *judge.History
	Clock      invites.Clock
	Self       invites.Identity

	asked map[string]bool // runs whose rows this process has recorded
}

// Begin records a run. From then on it is carried out, whatever happens to this process.
func (r *Runner) Begin(ctx context.Context, run *Run) error {
	run.CreatedAt = r.Clock.Now()
	row, err := run.row()
	if err != nil {
		return err
	}
	return r.Store.SavePlanRun(ctx, row)
}

// Open returns the runs under way.
func (r *Runner) Open(ctx context.Context) (list []*Run, err error) {
	rows, err := r.Store.OpenPlanRuns(ctx)
	for _, row := range rows {
		run, bad := readRun(row)
		if bad != nil {
			return list, fmt.Errorf("run %s: %w", row.Key, bad)
		}
		list = append(list, run)
	}
	return list, err
}

// Advance does what can be done for a run now, and sets Open to the number of steps that are left.
func (r *Runner) Advance(ctx context.Context, run *Run) error {
	if !r.asked[run.Key] {
		if err := r.ask(ctx, run); err != nil {
			return err
		}
		if r.asked == nil {
			r.asked = map[string]bool{}
		}
		r.asked[run.Key] = true
	}
	rows, err := r.rows(ctx, run)
	if err != nil {
		return err
	}
	if err := r.grant(ctx, run, rows); err != nil {
		return err
	}
	run.Open = 0
	for i := range run.Steps {
		s := &run.Steps[i]
		if row, has := rows[stepKey{s.Room, s.User, s.Kind}]; s.Kind != Power && has && row.Status != invites.StatusOpen && row.Status != invites.StatusWaiting {
			s.Done, s.Code, s.Because = true, row.Code, row.Detail
			if row.Status == invites.StatusDone {
				s.Code, s.Because = invites.CodeDone, room.Phrase{}
			}
		}
		if !s.Done {
			run.Open++
		}
	}
	return nil
}

// End settles a run without open steps, and notes what was refused.
func (r *Runner) End(ctx context.Context, run *Run) error {
	var add, remove []invites.PlanNote
	run.EndedAt = r.Clock.Now()
	for _, s := range run.Steps {
		n := invites.PlanNote{Plan: run.Plan, Kind: refusalOf(s.Kind), Room: s.Room, User: s.User, Code: s.Code, At: run.EndedAt}
		if s.Code != invites.CodeDone {
			add = append(add, n)
		} else {
			remove = append(remove, n)
		}
	}
	if err := r.Store.NotePlan(ctx, add, remove); err != nil {
		return err
	}
	row, err := run.row()
	if err != nil {
		return err
	}
	delete(r.asked, run.Key)
	return r.Store.SavePlanRun(ctx, row)
}

// refusalOf is the kind of note about a refused change.
func refusalOf(k Kind) invites.PlanNoteKind {
	if k == Power {
		return invites.PlanLevel
	}
	return invites.PlanRefused
}

type stepKey struct {
	room id.RoomID
	user id.UserID
	kind Kind
}

// inRooms returns the rooms of a run, in order.
func (r *Run) inRooms() (list []id.RoomID) {
	seen := map[id.RoomID]bool{}
	for _, s := range r.Steps {
		if !seen[s.Room] {
			seen[s.Room] = true
			list = append(list, s.Room)
		}
	}
	return list
}

// ask has the memberships of a run recorded. It may be called again for the same run.
func (r *Runner) ask(ctx context.Context, run *Run) error {
	for _, in := range run.inRooms() {
		targets := map[Kind][]id.UserID{}
		for _, s := range run.Steps {
			if s.Room == in {
				targets[s.Kind] = append(targets[s.Kind], s.User)
			}
		}
		req := requests.Request{Origin: invites.OriginPlan, Key: run.request(in), Actor: actorOf(run.Manager, r.Self), Room: in}
		invite, remove := req, req
		invite.Action, invite.Targets, invite.Reason = room.Invite, targets[Invite], run.Reason
		remove.Action, remove.Targets = room.Kick, targets[Remove]
		for _, req := range []requests.Request{invite, remove} {
			if len(req.Targets) == 0 {
				continue
			}
			if err := r.Requests.Plan(ctx, req); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows returns the rows of a run by their steps.
func (r *Runner) rows(ctx context.Context, run *Run) (map[stepKey]invites.Change, error) {
	all := map[stepKey]invites.Change{}
	for _, in := range run.inRooms() {
		rows, err := r.Store.ChangesOf(ctx, run.request(in))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			switch row.Action {
			case room.Invite:
				all[stepKey{in, row.Target, Invite}] = row
			case room.Kick:
				all[stepKey{in, row.Target, Remove}] = row
			}
		}
	}
	return all, nil
}

// Wanted implements delivery.Check: the room must still agree to the plan. Before a removal, the room is read past the cache.
func (r *Runner) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	key, _, _ := strings.Cut(strings.TrimPrefix(row.Request, invites.PlanRequest), " ")
	name, err := r.Store.PlanOf(ctx, key)
	if err != nil {
		return "", detail, err
	}
	use := policy.PlanUse{Name: name}
	if row.Actor != r.Self.Bot {
		use.Manager = row.Actor
	}
	p, snap, err := r.anew(ctx, row.Room, row.Actor, []id.UserID{row.Target}, row.Action == room.Kick)
	if invites.Unseen(err) {
		d := policy.Decision{Verdict: room.Unknown, Code: policy.CodeNoView}
		return string(d.Code), policy.Explain(policy.Question{Action: row.Action, Actor: row.Actor, Performer: row.Performer, Target: row.Target}, d).Phrase(), nil
	} else if err != nil {
		return "", detail, err
	}
	if row.Attempt > 1 && policy.Took(snap, row.Action, row.Target) { // maybe by an earlier attempt, as delivery finds out
		return "", detail, nil
	}
	d := p.Agrees(snap, use, room.Action{Type: row.Action, Sender: r.Self.Bot, Target: row.Target})
	switch d.Verdict {
	case room.Allow:
		return "", detail, nil
	case room.Unknown:
		return "", detail, unknownState(d.Evidence.Key)
	}
	return string(d.Code), policy.Explain(policy.Question{Action: row.Action, Actor: row.Actor, Performer: row.Performer, Target: row.Target}, d).Phrase(), nil
}

// unknownState is passing trouble: a piece of state that a decision needs has not been read.
func unknownState(k room.Key) error { return fmt.Errorf("state unknown: %v", k) }

// anew reads a room, and the policy in force by it. fresh bypasses the cache.
func (r *Runner) anew(ctx context.Context, in id.RoomID, actor id.UserID, users []id.UserID, fresh bool) (*policy.InForce, *room.Snapshot, error) {
	users = append(users, actor)
	if _, err := lookAt(ctx, r.Homeserver, in, policy.Merge(), r.Self.Bot, users, fresh); err != nil {
		return nil, nil, err
	}
	p, err := r.Policies.Of(ctx, in, "")
	if err != nil {
		return nil, nil, err
	}
	if p == nil {
		return nil, nil, fmt.Errorf("reading the policy of %s: it is unknown", in)
	}
	snap, err := lookAt(ctx, r.Homeserver, in, p, r.Self.Bot, users, false)
	return p, snap, err
}
