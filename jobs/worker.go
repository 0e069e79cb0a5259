package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"

	"usher/invites"
)

// worker calls Deliver for each row of a wake-up.
type worker struct {
	river.WorkerDefaults[wakeUp]
	q *Queue
}

// Work implements river.Worker. Faults are logged where they happen; River only sees to it that the job comes back. Then
// the rows that went well the first time are gone, which is quickly seen.
func (w *worker) Work(ctx context.Context, job *river.Job[wakeUp]) error {
	again := map[time.Time][]int64{} // by the second
	var faults []error
	for _, row := range job.Args.Rows {
		outcome, err := w.deliver(ctx, row)
		if ctx.Err() != nil {
			return ctx.Err() // stopped
		}
		switch {
		case err != nil:
			faults = append(faults, err)
		case outcome.Kind == invites.OutcomeFailed, outcome.Kind == invites.OutcomeLater:
			at := outcome.At.Add(time.Second - 1).Truncate(time.Second)
			if soonest := w.q.cfg.Clock.Now().Add(time.Second); at.Before(soonest) {
				at = soonest.Truncate(time.Second).Add(time.Second)
			}
			again[at] = append(again[at], row)
		}
	}
	for at, rows := range again {
		if err := w.q.Wake(ctx, at, rows...); err != nil {
			w.q.cfg.Logger.WarnContext(ctx, "Waking later failed; the sweep will", slog.Any("error", err))
		}
	}
	return errors.Join(faults...)
}

// deliver delivers one row in its time, and turns a panic into an error.
func (w *worker) deliver(ctx context.Context, row int64) (o invites.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.q.cfg.Timeout)
	defer cancel()
	log := w.q.cfg.Logger.With(slog.Int64("row", row))
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "Delivery panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("row %d: panic: %v", row, p)
		}
	}()
	o, err = w.q.cfg.Deliver(ctx, row)
	if err != nil && !errors.Is(err, context.Canceled) {
		log.WarnContext(ctx, "Delivery failed", slog.Any("error", err))
	}
	return o, err
}
