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

// polling is a driver without notifications. An insert wakes the workers of its own process at once without them. River's
// notifications would cost a connection on PostgreSQL and a table read every 50 ms on SQLite, and River drops some of several
// notifications in quick succession.
type polling[T any] struct{ riverdriver.Driver[T] }

func (polling[T]) SupportsListener() bool     { return false }
func (polling[T]) SupportsListenNotify() bool { return false }

// newClient upgrades River's tables and returns a client. The client logs warnings only, starts a job within 5 ms, and deletes
// ended jobs soon.
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
		JobTimeout:                  -1, // Config.Timeout bounds each Deliver call
		RescueStuckJobsAfter:        10 * time.Minute,
		RetryPolicy:                 backoff{},
		MaxAttempts:                 maxAttempts,
		ReindexerIndexNames:         reindex(driver),
		CompletedJobRetentionPeriod: time.Minute,
		CancelledJobRetentionPeriod: time.Minute,
		DiscardedJobRetentionPeriod: time.Hour,
	})
}

// reindex returns the indexes for River to rebuild at night: none on SQLite, where all writers would wait.
func reindex[T any](driver riverdriver.Driver[T]) []string {
	if driver.DatabaseName() == riverdriver.DatabaseNameSQLite {
		return []string{}
	}
	return river.ReindexerIndexNamesDefault()
}

// maxAttempts bounds the attempts at a job after errors and panics, because River keeps each error in the job. The sweep then makes a
// new job for the row.
const maxAttempts = 20

// backoff spaces the attempts at a job after an error or a panic: a fault of the program or of the database. A refusal of the
// homeserver is an outcome, which has a time of its own.
type backoff struct{}

// NextRetry implements river.ClientRetryPolicy.
func (backoff) NextRetry(job *rivertype.JobRow) time.Time {
	const first, most = 10 * time.Second, 10 * time.Minute
	return time.Now().Add(min(most, first<<min(job.Attempt-1, 10)))
}

// quiet passes on warnings and errors.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
