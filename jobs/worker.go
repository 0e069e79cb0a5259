package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"usher/invites"
)

// worker calls Deliver for the rows of a wake-up.
type worker struct {
	river.WorkerDefaults[wakeUp]
	q *Queue
}

// rowsPerCall is how many rows one Deliver call takes. They share their commits, and after a crash all of them are checked again.
const rowsPerCall = 8

// Work implements river.Worker. An error makes River run the job again, and delivery then skips the rows that are settled.
func (w *worker) Work(ctx context.Context, job *river.Job[wakeUp]) error {
	again := map[time.Time][]int64{} // see later
	var faults []error
	for rows := range slices.Chunk(job.Args.Rows, rowsPerCall) {
		if w.q.stopping.Load() {
			return river.JobSnooze(0) // runs at the next start
		}
		outcomes, err := w.deliver(ctx, rows)
		if ctx.Err() != nil {
			return ctx.Err() // Stop cancelled the delivery
		}
		if err != nil {
			faults = append(faults, err)
		}
		w.later(again, rows, outcomes)
	}
	for at, rows := range again {
		if err := w.q.Wake(ctx, at, rows...); err != nil {
			w.q.cfg.Logger.WarnContext(ctx, "Waking rows failed", slog.Any("error", err))
		}
	}
	return errors.Join(faults...)
}

// later adds the rows to be woken again, by time.
func (w *worker) later(again map[time.Time][]int64, rows []int64, outcomes []invites.Outcome) {
	for i, outcome := range outcomes {
		if outcome.Status != invites.StatusOpen {
			continue
		}
		at := outcome.At.Add(time.Second - 1).Truncate(time.Second)
		if soonest := w.q.cfg.Clock.Now().Add(time.Second); at.Before(soonest) {
			at = soonest.Truncate(time.Second).Add(time.Second)
		}
		again[at] = append(again[at], rows[i])
	}
}

// deliver calls Deliver within Config.Timeout, and turns a panic into an error.
func (w *worker) deliver(ctx context.Context, rows []int64) (o []invites.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.q.cfg.Timeout)
	defer cancel()
	log := w.q.cfg.Logger.With(slog.Any("rows", rows))
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "Delivery panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			o, err = nil, fmt.Errorf("rows %d: panic: %v", rows, p)
		}
	}()
	o, err = w.q.cfg.Deliver(ctx, rows...)
	if err != nil && !errors.Is(err, context.Canceled) {
		log.WarnContext(ctx, "Delivery failed", slog.Any("error", err))
	}
	return o, err
}
