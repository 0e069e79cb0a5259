// Package jobs wakes delivery: now, later, and again after a crash. It is River on the store's database, and a
// sweep. The invitation row is the truth, a job only a wake-up: one too many is harmless, one lost is a delay.
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
	"usher/store"
)

// Config says what to wake and how often. All of it is required, save what has a default.
type Config struct {
	Store *store.Store
	// Deliver works on some invitation rows and returns an outcome for each. An error, or a panic, is logged and tried again
	// after a while.
	Deliver func(ctx context.Context, rows ...int64) ([]invites.Outcome, error)
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

// Queue wakes delivery. It implements invites.Queue.
type Queue struct {
	cfg    Config
	client client
	stop   context.CancelFunc // ends the sweeper
	swept  sync.WaitGroup

	stopping atomic.Bool // nothing more is begun
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
	err := cfg.Store.Exclusively(ctx, func(ctx context.Context) (err error) {
		if pool := cfg.Store.Pool(); pool != nil {
			q.client, err = newClient(ctx, riverpgxv5.New(pool), q)
		} else {
			q.client, err = newClient(ctx, riversqlite.New(cfg.Store.SQL()), q)
		}
		if err == nil {
			err = q.bury(ctx)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return q, nil
}

// bury clears away what an earlier process left in the queue's tables when it was killed. No other process works with them.
// To River its jobs run until it looks for stuck ones, long after, and where a row has one in each slot it can't be woken until
// then: they are deleted, and the sweep finds their rows. That it was the leader would keep scheduled jobs waiting for a while.
func (q *Queue) bury(ctx context.Context) error {
	_, jobs := q.cfg.Store.Exec(ctx, `DELETE FROM river_job WHERE state = 'running'`)
	_, leader := q.cfg.Store.Exec(ctx, `DELETE FROM river_leader`)
	return errors.Join(jobs, leader)
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
	q.stopping.Store(true)
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
		err = q.wake(ctx, q.cfg.Clock.Now(), rows, 1) // one row a job, so that the next sweep finds the same job
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
