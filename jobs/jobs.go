// Package jobs wakes delivery: at once, at a later time, and again after a crash. It shares the attempts at rows fairly.
//
// The row of a change is the truth, and the queue keeps ids of rows in memory only. One wake-up too many is harmless, because
// delivery claims a row before it acts. A lost wake-up is a delay: the sweep asks the store for due rows every Config.SweepEvery.
//
//	q := jobs.New(jobs.Config{Deliver: deliver, Turns: store, Sweep: due, Clean: clean, Logger: log, Clock: clock})
//	err := q.Wake(ctx, at, rows...) // works from here on
//	q.Start()                       // Deliver is called from here on
//	err = q.Stop(ctx)
//
// Rows take turns by priority, then by actor, then by the other server needed for a change. See turns for the shares. So one user who
// invites thousands of people of a silent server delays nobody else.
//
// Only one process may start a Queue on a database. The package knows no Matrix, and nothing of a row but its turn.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"usher/invites"
	"usher/loop"
)

// Config is the settings of a Queue. Fields without a default are required.
type Config struct {
	// Deliver works on some rows and returns one outcome for each. The queue logs an error or a panic and tries the rows again
	// later.
	Deliver func(ctx context.Context, rows ...int64) ([]invites.Outcome, error)
	Turns   Turns
	// Sweep returns due rows, a bounded number. The queue leaves out its own rows.
	Sweep func(ctx context.Context) ([]int64, error)
	// Clean deletes old rows.
	Clean   func(ctx context.Context) error
	Workers int           // Deliver calls at the same time; 0: 16
	Timeout time.Duration // of one Deliver call; 0: 2 minutes
	Logger  *slog.Logger
	Clock   invites.Clock // of Outcome.At and of the time given to Wake

	HardStop   time.Duration // how long Stop waits for cancelled deliveries, after its context has ended; 0: 2 seconds
	SweepEvery time.Duration // 0: 15 seconds
	CleanEvery time.Duration // 0: 1 hour
}

// Turns knows the turns of rows.
type Turns interface {
	// Turns returns the turns of the open ones among the rows.
	Turns(ctx context.Context, rows []int64) ([]invites.Turn, error)
}

// Queue runs deliveries. It implements invites.Queue.
type Queue struct {
	cfg Config

	ctx     context.Context // of deliveries, sweeps and later wake-ups
	cancel  context.CancelFunc
	working sync.WaitGroup // deliveries

	mu      sync.Mutex
	turns   *turns
	rows    map[int64]stage
	free    int // workers
	begun   bool
	ended   bool // no further delivery begins
	outages outages
}

// stage is where a row is in the queue.
type stage uint8

// The stages. A row without one is not in the queue.
const (
	waits    stage = iota + 1
	runs           // an attempt is under way
	runAgain       // and the row was woken again meanwhile
)

var _ invites.Queue = (*Queue)(nil)

// Bounds of the rows in memory: of all, and of the waiting ones of one actor, who so leaves room for others. The sweep brings the rows
// beyond when there is room.
const (
	maxRows    = 100_000
	maxOfActor = 10_000
)

// New makes a queue. Wake works from then on. Deliveries begin with Start.
func New(cfg Config) *Queue {
	if cfg.Workers <= 0 {
		cfg.Workers = 16
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
	q := &Queue{cfg: cfg, turns: newTurns(cfg.Workers), rows: map[int64]stage{}, free: cfg.Workers}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// Start starts the workers and the sweeper. The caller ensures: no other process delivers on the same database.
func (q *Queue) Start() {
	q.mu.Lock()
	q.begun = true
	q.mu.Unlock()
	go func() {
		q.sweep(q.ctx)
		loop.Every(q.ctx, q.cfg.SweepEvery, q.sweep)
	}()
	go func() {
		q.clean(q.ctx)
		loop.Every(q.ctx, q.cfg.CleanEvery, q.clean)
	}()
	q.begin()
}

// Stop lets the deliveries under way end, and cancels them when ctx ends. It returns at most Config.HardStop after the end of ctx. It does
// not wait for a sweep: its query may hang on a dead disk.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	done := make(chan struct{})
	go func() { q.working.Wait(); close(done) }()
	select {
	case <-done:
		q.cancel()
		return nil
	case <-ctx.Done():
	}
	q.cancel()
	select {
	case <-done:
		return nil
	case <-time.After(q.cfg.HardStop):
		return errors.New("jobs: deliveries are still running")
	}
}

// sweep wakes due rows after lost wake-ups.
func (q *Queue) sweep(ctx context.Context) {
	rows, err := q.cfg.Sweep(ctx)
	if err == nil {
		err = q.add(ctx, rows, false)
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

// horizon is how far ahead a wake-up is kept. The sweep finds a row due later, up to SweepEvery late.
const horizon = time.Minute

// Wake implements invites.Queue. A row woken again before its attempt begins is delivered once.
func (q *Queue) Wake(ctx context.Context, at time.Time, rows ...int64) error {
	wait := at.Sub(q.cfg.Clock.Now())
	switch {
	case at.IsZero() || wait <= 0:
		if err := q.add(ctx, rows, true); err != nil {
			return fmt.Errorf("jobs: waking %d rows: %w", len(rows), err)
		}
	case wait <= horizon:
		time.AfterFunc(wait, func() {
			if err := q.add(q.ctx, rows, true); err != nil && q.ctx.Err() == nil {
				q.cfg.Logger.WarnContext(q.ctx, "Turns unreadable", slog.Any("error", err))
			}
		})
	}
	return nil
}

// maxRead is how many turns are read at a time.
const maxRead = 500

// add queues rows. If a row runs, again has it run once more.
func (q *Queue) add(ctx context.Context, rows []int64, again bool) error {
	fresh := q.fresh(rows, again)
	for len(fresh) > 0 {
		part := fresh[:min(len(fresh), maxRead)]
		fresh = fresh[len(part):]
		turns, err := q.cfg.Turns.Turns(ctx, part)
		if err != nil {
			return err
		}
		q.push(turns)
		q.begin()
	}
	return nil
}

// fresh returns the rows outside of the queue.
func (q *Queue) fresh(rows []int64, again bool) (fresh []int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, row := range rows {
		switch at := q.rows[row]; {
		case at == 0 && len(q.rows)+len(fresh) < maxRows:
			fresh = append(fresh, row)
		case at == runs && again:
			q.rows[row] = runAgain
		}
	}
	return fresh
}

// push queues turns, as far as the actors' shares of the memory go.
func (q *Queue) push(turns []invites.Turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range turns {
		if q.rows[t.Row] == 0 && (t.Priority == invites.PriorityUrgent || q.turns.held[t.Actor] < maxOfActor) {
			q.rows[t.Row] = waits
			q.turns.push(t)
		}
	}
}

// begin gives work to the free workers.
func (q *Queue) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.begun && !q.ended && q.free > 0 {
		next := q.turns.next()
		if len(next.rows) == 0 {
			return
		}
		q.free--
		for _, t := range next.rows {
			q.rows[t.Row] = runs
		}
		q.working.Go(func() { q.run(next) })
	}
}

// faultPause is how long rows are left alone after an error or a panic: a fault of the program or of the database. A refusal of the
// homeserver is an outcome, which has a time of its own.
const faultPause = 10 * time.Second

// run makes an attempt at each row of a batch, and queues the rows to be tried again.
func (q *Queue) run(b batch) {
	start, ids := time.Now(), make([]int64, len(b.rows))
	for i, t := range b.rows {
		ids[i] = t.Row
	}
	outcomes, err := q.deliver(ids)
	q.mu.Lock()
	q.turns.done(b, time.Since(start))
	q.free++
	var again []int64
	for _, row := range ids {
		if q.rows[row] == runAgain {
			again = append(again, row)
		}
		delete(q.rows, row)
	}
	again = append(again, q.outages.after(ids, outcomes)...)
	q.mu.Unlock()
	q.begin()
	if q.ctx.Err() != nil {
		return
	}
	q.later(ids, outcomes, err)
	if err := q.add(q.ctx, again, true); err != nil {
		q.cfg.Logger.WarnContext(q.ctx, "Turns unreadable", slog.Any("error", err))
	}
}

// later wakes the rows to be tried again, at their times.
func (q *Queue) later(rows []int64, outcomes []invites.Outcome, fault error) {
	now, again := q.cfg.Clock.Now(), map[time.Time][]int64{}
	if fault != nil {
		again[now.Add(faultPause)] = rows
	}
	for i, outcome := range outcomes {
		if outcome.Status == invites.StatusOpen {
			at := outcome.At.Add(time.Second - 1).Truncate(time.Second)
			if soonest := now.Add(time.Second); at.Before(soonest) {
				at = soonest
			}
			again[at] = append(again[at], rows[i])
		}
	}
	for at, rows := range again {
		_ = q.Wake(q.ctx, at, rows...) // later: nothing is read now
	}
}

// deliver calls Deliver within Config.Timeout, and turns a panic into an error.
func (q *Queue) deliver(rows []int64) (o []invites.Outcome, err error) {
	ctx, cancel := context.WithTimeout(q.ctx, q.cfg.Timeout)
	defer cancel()
	log := q.cfg.Logger.With(slog.Any("rows", rows))
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "Delivery panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			o, err = nil, fmt.Errorf("rows %d: panic: %v", rows, p)
		}
	}()
	o, err = q.cfg.Deliver(ctx, rows...)
	if err != nil && !errors.Is(err, context.Canceled) {
		log.WarnContext(ctx, "Delivery failed", slog.Any("error", err))
	}
	return o, err
}
