package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// client is a river.Client on either database.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// polling has an insert wake the workers of this process at once, and those of other replicas at their next poll. River's
// own notifications would cost a connection on PostgreSQL and a table that is read every 50 ms on SQLite, and they drop
// what comes in quick succession.
type polling[T any] struct{ riverdriver.Driver[T] }

func (polling[T]) SupportsListener() bool     { return false }
func (polling[T]) SupportsListenNotify() bool { return false }

// newClient brings River's tables up to date and makes a client that is quiet, quick, and keeps them small.
func newClient[T any](ctx context.Context, driver riverdriver.Driver[T], q *Queue) (client, error) {
	logger := slog.New(quiet{q.cfg.Logger.Handler()})
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("upgrading the queue's tables: %w", err)
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{q: q}); err != nil {
		return nil, err
	}
	return river.NewClient(polling[T]{driver}, &river.Config{
		Logger:                      logger,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.cfg.Workers}},
		Workers:                     workers,
		FetchCooldown:               5 * time.Millisecond,
		FetchPollInterval:           time.Second,
		JobTimeout:                  -1, // each row has its own
		RescueStuckJobsAfter:        10 * time.Minute,
		RetryPolicy:                 backoff{},
		MaxAttempts:                 maxAttempts,
		ReindexerIndexNames:         reindex(driver),
		CompletedJobRetentionPeriod: time.Minute,
		CancelledJobRetentionPeriod: time.Minute,
		DiscardedJobRetentionPeriod: time.Hour,
	})
}

// reindex names the indexes that River rebuilds at night: none on SQLite, where all writers would wait.
func reindex[T any](driver riverdriver.Driver[T]) []string {
	if driver.DatabaseName() == riverdriver.DatabaseNameSQLite {
		return []string{}
	}
	return river.ReindexerIndexNamesDefault()
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
