package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"usher/invites"
)

// worker calls Deliver for a wake-up.
type worker struct {
	river.WorkerDefaults[wakeUp]
	cfg Config
}

// Work implements river.Worker. Its errors are logged here; River only sees to it that the job comes back.
func (w *worker) Work(ctx context.Context, job *river.Job[wakeUp]) (err error) {
	log := w.cfg.Logger.With(slog.Int64("row", job.Args.Row))
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "Delivery panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	outcome, err := w.cfg.Deliver(ctx, job.Args.Row)
	if err != nil {
		if ctx.Err() == nil {
			log.WarnContext(ctx, "Delivery failed", slog.Any("error", err), slog.Int("attempt", job.Attempt))
		}
		return err
	}
	switch outcome.Kind {
	case invites.OutcomeFailed, invites.OutcomeLater:
		return river.JobSnooze(max(time.Second, outcome.At.Sub(w.cfg.Clock.Now())))
	default:
		return nil
	}
}

// maxAttempts is how often a job that errs or panics is tried before the sweep makes a new one of it, so that the
// errors that River collects in it stay few.
const maxAttempts = 20

// backoff spaces the tries of a job that errs or panics: a fault of the program or of the database. What a homeserver
// refuses is an outcome with a time of its own.
type backoff struct{}

// NextRetry implements river.ClientRetryPolicy.
func (backoff) NextRetry(job *rivertype.JobRow) time.Time {
	const first, most = 10 * time.Second, 10 * time.Minute
	return time.Now().Add(min(most, first<<min(job.Attempt-1, 10)))
}

// quiet passes on what River warns of.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
