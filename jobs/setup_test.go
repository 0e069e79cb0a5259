package jobs_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"usher/invites"
	"usher/jobs"
)

// patience is how long a test waits for what must happen, and enough is how long it watches what must not.
const (
	patience = 20 * time.Second
	enough   = 300 * time.Millisecond
)

// bench is a queue under test, with scripted ends.
type bench struct {
	jobs.Config
	t         testing.TB
	delivered chan int64 // rows, as Deliver is called
	log       *safeBuffer
}

// sameTurns puts all rows into one share.
type sameTurns struct{}

func (sameTurns) Turns(_ context.Context, rows []int64) (turns []invites.Turn, err error) {
	for _, row := range rows {
		turns = append(turns, invites.Turn{Row: row})
	}
	return turns, nil
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// alone runs a test beside others.
func alone(t *testing.T, run func(t *testing.T, b *bench)) {
	t.Parallel()
	run(t, newBench(t))
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, delivered: make(chan int64, 10_000), log: &safeBuffer{}}
	b.Config = jobs.Config{
		Turns:  sameTurns{},
		Sweep:  func(context.Context) ([]int64, error) { return nil, nil },
		Clean:  func(context.Context) error { return nil },
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		Clock:  wallClock{},
	}
	b.ends(func(int64) (invites.Outcome, error) { return invites.Outcome{Status: invites.StatusDone}, nil })
	return b
}

// ends says what Deliver returns.
func (b *bench) ends(end func(row int64) (invites.Outcome, error)) {
	b.Deliver = each(func(_ context.Context, row int64) (invites.Outcome, error) {
		b.delivered <- row
		return end(row)
	})
}

// each delivers rows one after the other.
func each(one func(ctx context.Context, row int64) (invites.Outcome, error)) func(context.Context, ...int64) ([]invites.Outcome, error) {
	return func(ctx context.Context, rows ...int64) (outcomes []invites.Outcome, err error) {
		for _, row := range rows {
			outcome, err := one(ctx, row)
			if err != nil {
				return nil, err
			}
			outcomes = append(outcomes, outcome)
		}
		return outcomes, nil
	}
}

// queue makes a queue and starts it.
func (b *bench) queue() *jobs.Queue {
	b.t.Helper()
	q := b.idle()
	b.start(q)
	return q
}

func (b *bench) idle() *jobs.Queue {
	b.t.Helper()
	return jobs.New(b.Config)
}

func (b *bench) start(q *jobs.Queue) {
	b.t.Helper()
	q.Start()
	b.t.Cleanup(func() { b.stop(q, patience) })
}

func (b *bench) stop(q *jobs.Queue, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) wake(q *jobs.Queue, at time.Time, rows ...int64) {
	b.t.Helper()
	if err := q.Wake(b.t.Context(), at, rows...); err != nil {
		b.t.Fatal(err)
	}
}

// wants waits until exactly these rows are delivered, in any order.
func (b *bench) wants(rows ...int64) {
	b.t.Helper()
	var got []int64
	timeout := time.After(patience)
	for len(got) < len(rows) {
		select {
		case row := <-b.delivered:
			got = append(got, row)
		case <-timeout:
			b.t.Fatalf("delivered %v, want %v\n%s", got, rows, b.log)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, rows) {
		b.t.Fatalf("delivered %v, want %v", got, rows)
	}
}

// sees waits until a row is delivered, among others.
func (b *bench) sees(row int64) {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-b.delivered:
			if got == row {
				return
			}
		case <-timeout:
			b.t.Fatalf("row %d is not delivered", row)
		}
	}
}

// wantsNoMore watches that nothing else is delivered.
func (b *bench) wantsNoMore() {
	b.t.Helper()
	select {
	case row := <-b.delivered:
		b.t.Errorf("row %d is delivered again", row)
	case <-time.After(enough):
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
