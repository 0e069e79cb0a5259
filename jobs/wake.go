package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// wakeUp is a job: the key of a row, no facts. It is unique while it waits or runs.
type wakeUp struct {
	Row  int64 `json:"row"`
	Slot int   `json:"slot"`
}

// Kind implements river.JobArgs.
func (wakeUp) Kind() string { return "deliver" }

// slots is how many jobs one row may have: one that runs, or one that waits for a later time, must not swallow a
// wake-up, so that goes to the next slot. Where all are taken the sweep comes back.
const slots = 3

// unique keeps wake-ups of one row and slot from piling up.
var unique = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}}

// maxInsert bounds one insert: SQLite's other writers wait for it.
const maxInsert = 500

// Wake implements invites.Queue. A row that is woken twice before it runs is delivered once.
func (q *Queue) Wake(ctx context.Context, at time.Time, rows ...int64) error {
	scheduled := time.Time{} // at once
	if wait := at.Sub(q.cfg.Clock.Now()); wait > 0 {
		scheduled = time.Now().Add(wait)
	}
	rows = slices.Clone(rows)
	slices.Sort(rows)
	for part := range slices.Chunk(slices.Compact(rows), maxInsert) {
		for slot := 0; slot < slots && len(part) > 0; slot++ {
			var err error
			if part, err = q.insert(ctx, scheduled, slot, part); err != nil {
				return fmt.Errorf("jobs: waking %d rows: %w", len(part), err)
			}
		}
	}
	return nil
}

// insert puts rows into a slot and returns those whose job there will not do.
func (q *Queue) insert(ctx context.Context, scheduled time.Time, slot int, rows []int64) (missed []int64, err error) {
	params := make([]river.InsertManyParams, len(rows))
	for i, row := range rows {
		params[i] = river.InsertManyParams{Args: wakeUp{row, slot}, InsertOpts: &river.InsertOpts{ScheduledAt: scheduled, UniqueOpts: unique}}
	}
	results, err := q.client.InsertMany(ctx, params)
	if err != nil {
		return rows, err
	}
	for _, r := range results {
		if r.UniqueSkippedAsDuplicate && !serves(r.Job, scheduled) {
			var w wakeUp
			if err := json.Unmarshal(r.Job.EncodedArgs, &w); err != nil {
				return rows, err
			}
			missed = append(missed, w.Row)
		}
	}
	return missed, nil
}

// serves tells whether a job that is there already will run soon enough after a wake-up scheduled now: one that runs
// may have read the row before it changed, and one that waits for later is too late. One that failed keeps its backoff.
func serves(job *rivertype.JobRow, scheduled time.Time) bool {
	switch job.State {
	case rivertype.JobStateRunning:
		return false
	case rivertype.JobStateScheduled:
		return !scheduled.IsZero() && !job.ScheduledAt.After(scheduled.Add(time.Second))
	default:
		return true
	}
}
