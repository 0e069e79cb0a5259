// Package jobs wakes delivery: at once, at a later time, and again after a crash. It is River on the store's database, and a
// sweep.
//
// The row of a change is the truth, and a job is a wake-up: it carries ids of rows and no facts. One wake-up too many is harmless,
// because delivery claims a row before it acts. A lost wake-up is a delay: the sweep asks the store for due rows every
// Config.SweepEvery and wakes the rows without a job.
//
//	q, err := jobs.New(ctx, jobs.Config{Store: s, Deliver: deliver, Sweep: due, Clean: clean, Logger: log, Clock: clock})
//	err = q.Wake(ctx, at, rows...) // works from here on
//	err = q.Start(ctx)             // Deliver is called from here on
//	err = q.Stop(ctx)
//
// Only one process may start a Queue on a database. The package knows no Matrix, and nothing of a row but its id.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"usher/invites"
	"usher/loop"
	"usher/store"
)

// Config is the settings of a Queue. Fields without a default are required.
type Config struct {
	Store *store.Store
	// Deliver works on some rows and returns one outcome for each. The queue logs an error or a panic and tries the rows again
	// later.
	Deliver func(ctx context.Context, rows ...int64) ([]invites.Outcome, error)
	// Sweep returns due rows, a bounded number, the oldest first. The queue wakes each row without a job.
	Sweep func(ctx context.Context) ([]int64, error)
	// Clean deletes old rows.
	Clean   func(ctx context.Context) error
	Workers int           // Deliver calls at the same time; 0: 4
	Timeout time.Duration // of one Deliver call; 0: 2 minutes
	Logger  *slog.Logger
	Clock   invites.Clock // of Outcome.At and of the time given to Wake

	HardStop   time.Duration // how long Stop waits for cancelled deliveries, after its context has ended; 0: 2 seconds
	SweepEvery time.Duration // 0: 15 seconds
	CleanEvery time.Duration // 0: 1 hour
}

// Queue runs deliveries. It implements invites.Queue.
type Queue struct {
	cfg    Config
	client client

	stopSweeper context.CancelFunc
	sweeper     sync.WaitGroup
	stopping    atomic.Bool // workers begin no further delivery
}

var _ invites.Queue = (*Queue)(nil)

// New upgrades the tables of the queue. Wake works from then on. Deliveries begin with Start.
func New(ctx context.Context, cfg Config) (*Queue, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = 4
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.HardStop <= 0 {
		cfg.HardStop = 2 * time.Second
	}
	if cfg.SweepEvery <= 0 {
		cfg.SweepEvery = 15 * time.Second
	}
	if cfg.CleanEvery <= 0 {
		cfg.CleanEvery = time.Hour
	}
	q := &Queue{cfg: cfg, stopSweeper: func() {}}
	err := cfg.Store.Exclusively(ctx, func(ctx context.Context) (err error) {
		if pool := cfg.Store.Pool(); pool != nil {
			q.client, err = newClient(ctx, riverpgxv5.New(pool), q)
		} else {
			q.client, err = newClient(ctx, riversqlite.New(cfg.Store.SQL()), q)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return q, nil
}

// clearStaleJobs deletes jobs in the state running and the leadership in River, both left by a killed process.
//
// River takes such a job for running until RescueStuckJobsAfter. A row that was under way at several kills has such a job in each
// slot, so nothing could wake the row. The sweep finds the rows of the deleted jobs. A dead leader would delay scheduled
// jobs until its term ends.
func (q *Queue) clearStaleJobs(ctx context.Context) error {
	for _, query := range []string{`DELETE FROM river_job WHERE state = 'running'`, `DELETE FROM river_leader`} {
		var err error
		if pool := q.cfg.Store.Pool(); pool != nil {
			_, err = pool.Exec(ctx, query)
		} else {
			_, err = q.cfg.Store.SQL().ExecContext(ctx, query)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Start starts the workers and the sweeper. The caller makes sure that no other process delivers on the same database. ctx
// bounds the start, not the work.
func (q *Queue) Start(ctx context.Context) error {
	if err := q.clearStaleJobs(ctx); err != nil {
		return fmt.Errorf("jobs: clearing stale jobs: %w", err)
	}
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	var sweeping context.Context
	sweeping, q.stopSweeper = context.WithCancel(context.WithoutCancel(ctx))
	q.sweeper.Go(func() {
		q.sweep(sweeping)
		loop.Every(sweeping, q.cfg.SweepEvery, q.sweep)
	})
	q.sweeper.Go(func() {
		q.clean(sweeping)
		loop.Every(sweeping, q.cfg.CleanEvery, q.clean)
	})
	return nil
}

// Stop lets the deliveries under way end, and cancels them when ctx ends. It returns at most Config.HardStop after the end of ctx.
// Unfinished jobs stay in the queue.
func (q *Queue) Stop(ctx context.Context) error {
	q.stopping.Store(true)
	q.stopSweeper()
	swept := make(chan struct{})
	go func() { q.sweeper.Wait(); close(swept) }() // a query may hang on a dead disk
	select {
	case <-swept:
	case <-ctx.Done():
	}
	err := q.client.Stop(ctx)
	if ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.cfg.HardStop)
	defer cancel()
	if err := q.client.StopAndCancel(ctx); err != nil {
		return errors.Join(errors.New("jobs: deliveries are still running"), err)
	}
	return nil
}

// sweep wakes due rows, whose wake-up was lost or never written.
func (q *Queue) sweep(ctx context.Context) {
	rows, err := q.cfg.Sweep(ctx)
	if err == nil {
		err = q.wake(ctx, q.cfg.Clock.Now(), rows, 1) // one row a job, so River finds the job of the last sweep
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
