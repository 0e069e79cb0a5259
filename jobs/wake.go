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

// wakeUp is a job: the keys of rows, no facts. It is unique while it waits or runs.
type wakeUp struct {
	Rows []int64 `json:"rows"`
	Slot int     `json:"slot"`
}

// Kind implements river.JobArgs.
func (wakeUp) Kind() string { return "deliver" }

// slots is how many jobs the same rows may have: one that runs, or one that waits for a later time, must not swallow a
// wake-up, so that goes to the next slot. Where all are taken the sweep comes back.
const slots = 3

// unique keeps wake-ups of the same rows and slot from piling up.
var unique = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}}

const (
	maxRows   = 100 // of one job: what River does for a job costs more than what the store does for a row
	maxInsert = 100 // jobs of one insert: SQLite's other writers wait for it
)

// Wake implements invites.Queue. Rows that are woken again before they run are delivered once.
func (q *Queue) Wake(ctx context.Context, at time.Time, rows ...int64) error {
	each := (len(rows) + q.cfg.Workers - 1) / q.cfg.Workers // few rows are spread over all workers
	return q.wake(ctx, at, rows, max(1, min(each, maxRows)))
}

// wake inserts jobs of so many rows each.
func (q *Queue) wake(ctx context.Context, at time.Time, rows []int64, each int) error {
	scheduled := time.Time{} // at once
	if wait := at.Sub(q.cfg.Clock.Now()); wait > 0 {
		scheduled = time.Now().Add(wait)
	}
	rows = slices.Clone(rows)
	slices.Sort(rows)
	jobs := slices.Collect(slices.Chunk(slices.Compact(rows), each))
	for part := range slices.Chunk(jobs, maxInsert) {
		for slot := 0; slot < slots && len(part) > 0; slot++ {
			var err error
			if part, err = q.insert(ctx, scheduled, slot, part); err != nil {
				return fmt.Errorf("jobs: waking %d rows: %w", len(rows), err)
			}
		}
	}
	return nil
}

// insert puts jobs into a slot and returns those for which the job that is there already will not do.
func (q *Queue) insert(ctx context.Context, scheduled time.Time, slot int, jobs [][]int64) (missed [][]int64, err error) {
	params := make([]river.InsertManyParams, len(jobs))
	for i, rows := range jobs {
		params[i] = river.InsertManyParams{Args: wakeUp{rows, slot}, InsertOpts: &river.InsertOpts{ScheduledAt: scheduled, UniqueOpts: unique}}
	}
	results, err := q.client.InsertMany(ctx, params)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if r.UniqueSkippedAsDuplicate && !serves(r.Job, scheduled) {
			var w wakeUp
			if err := json.Unmarshal(r.Job.EncodedArgs, &w); err != nil {
				return nil, err
			}
			missed = append(missed, w.Rows)
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
