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

// wakeUp is the arguments of a job: ids of rows. River keeps one job for the same arguments while the job waits or runs.
type wakeUp struct {
	Rows []int64 `json:"rows"`
	Slot int     `json:"slot"`
}

// Kind implements river.JobArgs.
func (wakeUp) Kind() string { return "deliver" }

// slots is how many jobs the same rows may have. A job that runs, or waits for a later time, does not serve a new wake-up, which then
// takes the next slot. If all slots are taken, the sweep wakes the rows.
const slots = 3

// unique allows one unfinished job for the same rows and slot.
var unique = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}}

const (
	maxRows   = 100 // rows of one job: River's work for a job costs more than the store's work for a row
	maxInsert = 100 // jobs of one insert, for which SQLite's other writers wait
)

// Wake implements invites.Queue. A row woken again before its job runs is delivered once.
func (q *Queue) Wake(ctx context.Context, at time.Time, rows ...int64) error {
	each := (len(rows) + q.cfg.Workers - 1) / q.cfg.Workers // few rows spread over all workers
	return q.wake(ctx, at, rows, max(1, min(each, maxRows)))
}

// wake inserts jobs of up to each rows.
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

// insert puts jobs into a slot. It returns the jobs without effect: another job has their slot and does not serve them.
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

// serves reports whether an unfinished job runs soon enough after a wake-up for the given time. A running job does not: it may have
// read its rows before they changed. A job scheduled for a later time does not. A failed job does and keeps its backoff.
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
