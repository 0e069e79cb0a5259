package store

import (
	"context"
	"time"

	"usher/invites"
)

const (
	runColumns     = `run_key, plan, content, created_at, ended_at`
	selectRun      = `SELECT ` + runColumns + ` FROM plan_run WHERE run_key = $1`
	selectPlanOf   = `SELECT plan FROM plan_run WHERE run_key = $1`
	selectOpenRuns = `SELECT ` + runColumns + ` FROM plan_run WHERE ended_at = 0 ORDER BY created_at`
	upsertRun      = `INSERT INTO plan_run (` + runColumns + `) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (run_key) DO UPDATE SET content = excluded.content, ended_at = excluded.ended_at`
	deleteRuns = `DELETE FROM plan_run WHERE run_key IN (SELECT run_key FROM plan_run WHERE ended_at <> 0 AND ended_at < $1 LIMIT $2)`

	selectNotes = `SELECT plan, kind, room_id, user_id, code, at FROM plan_note WHERE plan = $1`
	upsertNote  = `INSERT INTO plan_note (plan, kind, room_id, user_id, code, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (plan, kind, room_id, user_id) DO UPDATE SET code = excluded.code, at = excluded.at`
	deleteNote = `DELETE FROM plan_note WHERE plan = $1 AND kind = $2 AND room_id = $3 AND user_id = $4`
)

func runFields(r *invites.PlanRun) []any {
	return []any{&r.Key, &r.Plan, &r.Content, &r.CreatedAt, &r.EndedAt}
}

func noteFields(n *invites.PlanNote) []any {
	return []any{&n.Plan, &n.Kind, &n.Room, &n.User, &n.Code, &n.At}
}

// PlanRun returns a run of a plan, or ErrNotFound.
func (s Plans) PlanRun(ctx context.Context, key string) (invites.PlanRun, error) {
	return one(ctx, s.db, runFields, selectRun, key)
}

// PlanOf returns the name of the plan of a run, or ErrNotFound.
func (s Plans) PlanOf(ctx context.Context, key string) (string, error) {
	return one(ctx, s.db, value[string], selectPlanOf, key)
}

// OpenPlanRuns returns the runs under way, the oldest first.
func (s Plans) OpenPlanRuns(ctx context.Context) ([]invites.PlanRun, error) {
	return all(ctx, s.db, runFields, selectOpenRuns)
}

// SavePlanRun keeps a run as it is now, with audit rows in the same commit.
func (s Plans) SavePlanRun(ctx context.Context, run invites.PlanRun, audit ...invites.Audit) error {
	return s.write.commit(ctx, audited, func(t *tx) error {
		if _, err := t.exec(upsertRun, runFields(&run)...); err != nil {
			return err
		}
		appendAudit(t, audit)
		return nil
	})
}

// PlanNotes returns all notes of a plan.
func (s Plans) PlanNotes(ctx context.Context, plan string) ([]invites.PlanNote, error) {
	return all(ctx, s.db, noteFields, selectNotes, plan)
}

// NotePlan adds notes, or replaces them, and removes others.
func (s Plans) NotePlan(ctx context.Context, add, remove []invites.PlanNote) error {
	if len(add)+len(remove) == 0 {
		return nil
	}
	return s.write.commit(ctx, plain, func(t *tx) error {
		for i := range remove {
			if _, err := t.exec(deleteNote, noteFields(&remove[i])[:4]...); err != nil {
				return err
			}
		}
		for i := range add {
			if _, err := t.exec(upsertNote, noteFields(&add[i])...); err != nil {
				return err
			}
		}
		return nil
	})
}

// CleanPlans deletes the runs that ended before a time.
func (s Plans) CleanPlans(ctx context.Context, before time.Time) error {
	return s.deleteAll(ctx, deleteRuns, before)
}
