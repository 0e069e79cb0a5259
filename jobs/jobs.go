// Package jobs wakes delivery: now, later, and again after a crash. It is River on the store's database, and a
// sweep. The invitation row is the truth, a job only a wake-up: one too many is harmless, one lost is a delay.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"usher/invites"
	"usher/store"
)

// Config says what to wake and how often. All of it is required, save what has a default.
type Config struct {
	Store *store.Store
	// Deliver works on one invitation row. An error, or a panic, is logged and tried again after a while.
	Deliver func(ctx context.Context, row int64) (invites.Outcome, error)
	// Sweep returns rows that are due, a bounded number, the oldest first. Each is woken unless it waits already.
	Sweep func(ctx context.Context) ([]int64, error)
	// Clean deletes what is not needed any more.
	Clean   func(ctx context.Context) error
	Workers int           // how many Deliver calls run side by side; 0: 4
	Timeout time.Duration // of one Deliver call; 0: 2 minutes
	Logger  *slog.Logger
	Clock   invites.Clock // what Outcome.At and Wake's time are measured by

	SweepEvery time.Duration // 0: 15 seconds
	CleanEvery time.Duration // 0: 1 hour
}

// client is a river.Client on either database.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// Queue wakes delivery. It implements invites.Queue.
type Queue struct {
	cfg    Config
	client client
	stop   context.CancelFunc // ends the sweeper
	swept  sync.WaitGroup
}

var _ invites.Queue = (*Queue)(nil)

// New brings the queue's tables up to date. Wake works from then on; nothing is delivered before Start.
func New(ctx context.Context, cfg Config) (*Queue, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = 4
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.SweepEvery <= 0 {
		cfg.SweepEvery = 15 * time.Second
	}
	if cfg.CleanEvery <= 0 {
		cfg.CleanEvery = time.Hour
	}
	q := &Queue{cfg: cfg, stop: func() {}}
	rc, err := riverConfig(cfg)
	if err != nil {
		return nil, err
	}
	err = cfg.Store.Exclusively(ctx, func(ctx context.Context) error { return migrate(ctx, cfg.Store, rc.Logger) })
	if err != nil {
		return nil, fmt.Errorf("jobs: upgrading the queue's tables: %w", err)
	}
	if pool := cfg.Store.Pool(); pool != nil {
		q.client, err = river.NewClient(riverpgxv5.New(pool), rc)
	} else {
		rc.ReindexerIndexNames = []string{} // SQLite would stop all writers for it
		q.client, err = river.NewClient(sqliteDriver{riversqlite.New(cfg.Store.SQL())}, rc)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return q, nil
}

// sqliteDriver is River's, save that an insert wakes the workers of this process, the only one there is, at once.
// River's own way is a table of notifications, written on every insert and read every 50 ms.
type sqliteDriver struct{ *riversqlite.Driver }

func (sqliteDriver) SupportsListener() bool     { return false }
func (sqliteDriver) SupportsListenNotify() bool { return false }

// riverConfig keeps River quiet, quick, and its table small.
func riverConfig(cfg Config) (*river.Config, error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{cfg: cfg}); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &river.Config{
		Logger:                      slog.New(quiet{cfg.Logger.Handler()}),
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.Workers}},
		Workers:                     workers,
		FetchCooldown:               5 * time.Millisecond,
		FetchPollInterval:           time.Second,
		JobTimeout:                  cfg.Timeout,
		RescueStuckJobsAfter:        cfg.Timeout + time.Minute,
		RetryPolicy:                 backoff{},
		MaxAttempts:                 maxAttempts,
		CompletedJobRetentionPeriod: time.Minute,
		CancelledJobRetentionPeriod: time.Minute,
		DiscardedJobRetentionPeriod: time.Hour,
	}, nil
}

// migrate brings River's tables up to date.
func migrate(ctx context.Context, s *store.Store, logger *slog.Logger) (err error) {
	config := &rivermigrate.Config{Logger: logger}
	if pool := s.Pool(); pool != nil {
		return up(rivermigrate.New(riverpgxv5.New(pool), config))(ctx)
	}
	return up(rivermigrate.New(riversqlite.New(s.SQL()), config))(ctx)
}

func up[T any](m *rivermigrate.Migrator[T], err error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err != nil {
			return err
		}
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
}

// Start starts the workers and the sweeper. ctx bounds the start, not the work.
func (q *Queue) Start(ctx context.Context) error {
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	var sweeping context.Context
	sweeping, q.stop = context.WithCancel(context.WithoutCancel(ctx))
	q.swept.Go(func() { q.sweepUntil(sweeping) })
	return nil
}

// hardStop is how long Stop waits for deliveries that it has cancelled.
const hardStop = 2 * time.Second

// Stop lets the deliveries under way end, and cancels them when ctx ends. What is not done stays in the queue.
func (q *Queue) Stop(ctx context.Context) error {
	q.stop()
	q.swept.Wait()
	err := q.client.Stop(ctx)
	if ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
	defer cancel()
	if err := q.client.StopAndCancel(ctx); err != nil {
		return errors.Join(errors.New("jobs: deliveries are still running"), err)
	}
	return nil
}

// sweepUntil sweeps and cleans now and then, until ctx ends.
func (q *Queue) sweepUntil(ctx context.Context) {
	sweep, clean := time.NewTicker(q.cfg.SweepEvery), time.NewTicker(q.cfg.CleanEvery)
	defer sweep.Stop()
	defer clean.Stop()
	q.sweep(ctx)
	q.clean(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			q.sweep(ctx)
		case <-clean.C:
			q.clean(ctx)
		}
	}
}

// sweep wakes rows that are due: their wake-up was lost, or never written.
func (q *Queue) sweep(ctx context.Context) {
	rows, err := q.cfg.Sweep(ctx)
	if err == nil {
		err = q.Wake(ctx, q.cfg.Clock.Now(), rows...)
	}
	if err != nil && ctx.Err() == nil {
		q.cfg.Logger.WarnContext(ctx, "Sweep failed", slog.Any("error", err))
	}
}

func (q *Queue) clean(ctx context.Context) {
	if err := q.cfg.Clean(ctx); err != nil && ctx.Err() == nil {
		q.cfg.Logger.WarnContext(ctx, "Cleaning failed", slog.Any("error", err))
	}
}
