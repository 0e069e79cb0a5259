package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/invites"
	"usher/jobs"
	"usher/store"
	"usher/store/pgtest"
)

// server is the PostgreSQL server of this test binary.
var server = sync.OnceValues(pgtest.Start)

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := server(); err == nil {
		s.Stop()
	}
	os.Exit(code)
}

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

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// onBoth runs a test on both databases.
func onBoth(t *testing.T, run func(t *testing.T, b *bench)) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, newBench(t, openStore(t, name)))
		})
	}
}

func openStore(t testing.TB, name string) *store.Store {
	cfg := store.Config{Type: name, URI: filepath.Join(t.TempDir(), "usher.db")}
	if name == "postgres" {
		s, err := server()
		pgtest.Need(t, err)
		cfg.URI = s.Database(t)
	}
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newBench(t testing.TB, s *store.Store) *bench {
	b := &bench{t: t, delivered: make(chan int64, 10_000), log: &safeBuffer{}}
	b.Config = jobs.Config{
		Store:  s,
		Sweep:  func(context.Context) ([]int64, error) { return nil, nil },
		Clean:  func(context.Context) error { return nil },
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		Clock:  wallClock{},
	}
	b.ends(func(int64) (invites.Outcome, error) { return invites.Outcome{Kind: invites.OutcomeDone}, nil })
	return b
}

// ends says what Deliver returns.
func (b *bench) ends(end func(row int64) (invites.Outcome, error)) {
	b.Deliver = func(_ context.Context, row int64) (invites.Outcome, error) {
		b.delivered <- row
		return end(row)
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
	q, err := jobs.New(b.t.Context(), b.Config)
	if err != nil {
		b.t.Fatal(err)
	}
	return q
}

func (b *bench) start(q *jobs.Queue) {
	b.t.Helper()
	if err := q.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
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

func TestWakeAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		q := b.queue()
		b.wake(q, time.Now(), 3, 1, 2, 3, 1)
		b.wants(1, 2, 3)
		b.wantsNoMore()
		b.wake(q, time.Time{}, 1)
		b.wants(1)
		b.wake(q, time.Now())
		b.wantsNoMore()
		if log := b.log.String(); log != "" {
			t.Errorf("logged %s", log)
		}
	})
}

func TestWakeMany(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		rows := make([]int64, 1203)
		for i := range rows {
			rows[i] = int64(i + 1)
		}
		q := b.queue()
		b.wake(q, time.Now(), rows...)
		b.wants(rows...)
		b.wantsNoMore()
	})
}

func TestWakeLater(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		q := b.queue()
		at := time.Now().Add(time.Second)
		b.wake(q, at, 1)
		b.wants(1)
		if early := time.Until(at); early > 0 {
			t.Errorf("delivered %v too early", early)
		}
	})
}

// TestWakeSooner has a wake-up now overtake one for tomorrow.
func TestWakeSooner(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		q := b.queue()
		b.wake(q, time.Now().Add(24*time.Hour), 1)
		b.wantsNoMore()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		b.wantsNoMore()
	})
}

// TestWakeTwice wakes rows that wait already: each is delivered once.
func TestWakeTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		q := b.idle()
		for range 3 {
			b.wake(q, time.Now(), 1, 2)
		}
		b.start(q)
		b.wants(1, 2)
		b.wantsNoMore()
	})
}

// TestWakeWhileRunning wakes a row that is just being delivered: it runs again, once.
func TestWakeWhileRunning(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Workers = 1
		hold := make(chan struct{})
		b.ends(func(int64) (invites.Outcome, error) {
			<-hold
			return invites.Outcome{Kind: invites.OutcomeDone}, nil
		})
		q := b.queue()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		for range 3 {
			b.wake(q, time.Now(), 1)
		}
		close(hold)
		b.wants(1)
		b.wantsNoMore()
	})
}

func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  invites.OutcomeKind
		again bool
	}{
		{"done", invites.OutcomeDone, false},
		{"refused", invites.OutcomeRefused, false},
		{"gone", invites.OutcomeGone, false},
		{"later", invites.OutcomeLater, true},
		{"failed", invites.OutcomeFailed, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b *bench) {
				at := time.Now().Add(1500 * time.Millisecond)
				var once sync.Once
				b.ends(func(int64) (o invites.Outcome, err error) {
					o.Kind = invites.OutcomeDone
					once.Do(func() { o = invites.Outcome{Kind: tt.kind, At: at} })
					return o, nil
				})
				q := b.queue()
				b.wake(q, time.Now(), 1)
				b.wants(1)
				if tt.again {
					b.wants(1)
					if early := time.Until(at); early > 0 {
						t.Errorf("delivered again %v too early", early)
					}
				}
				b.wantsNoMore()
			})
		})
	}
}

// TestSnoozedIsWoken wakes a row that sleeps until tomorrow.
func TestSnoozedIsWoken(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		var once sync.Once
		b.ends(func(int64) (o invites.Outcome, err error) {
			o.Kind = invites.OutcomeDone
			once.Do(func() { o = invites.Outcome{Kind: invites.OutcomeLater, At: time.Now().Add(24 * time.Hour)} })
			return o, nil
		})
		q := b.queue()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		b.wantsNoMore()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		b.wantsNoMore()
	})
}

// TestPanic has deliveries panic and err: the next ones work, and nothing is tried again at once.
func TestPanic(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.ends(func(row int64) (invites.Outcome, error) {
			switch {
			case row <= 4:
				panic("the delivery is broken")
			case row <= 8:
				return invites.Outcome{}, errors.New("the database is gone")
			}
			return invites.Outcome{Kind: invites.OutcomeDone}, nil
		})
		q := b.queue()
		b.wake(q, time.Now(), 1, 2, 3, 4, 5, 6, 7, 8)
		b.wants(1, 2, 3, 4, 5, 6, 7, 8)
		b.wake(q, time.Now(), 9)
		b.wants(9)
		b.wantsNoMore()
		for text, want := range map[string]int{"the delivery is broken": 4, "jobs_test.go": 4, "the database is gone": 4} {
			if got := strings.Count(b.log.String(), text); got < want || got > 2*want {
				t.Errorf("%q is logged %d times\n%s", text, got, b.log)
			}
		}
	})
}

// TestStopSoft lets the delivery under way end.
func TestStopSoft(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		ended := false
		b.Deliver = func(ctx context.Context, row int64) (invites.Outcome, error) {
			b.delivered <- row
			<-hold
			ended = ctx.Err() == nil
			return invites.Outcome{Kind: invites.OutcomeDone}, nil
		}
		q := b.queue()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		time.AfterFunc(enough, func() { close(hold) })
		b.stop(q, patience)
		if !ended {
			t.Error("the delivery was not let end")
		}
		b.start(b.idle())
		b.wantsNoMore()
	})
}

// TestStopHard cancels the delivery under way at the deadline; the next start picks it and the rest up.
func TestStopHard(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Workers = 1
		end := b.Deliver
		b.Deliver = func(ctx context.Context, row int64) (invites.Outcome, error) {
			b.delivered <- row
			<-ctx.Done()
			return invites.Outcome{}, ctx.Err()
		}
		q := b.queue()
		b.wake(q, time.Now(), 1, 2)
		b.wants(1)
		b.stop(q, enough)
		b.Deliver = end
		b.start(b.idle())
		b.wants(1, 2)
		if log := b.log.String(); log != "" {
			t.Errorf("logged %s", log)
		}
	})
}

// TestStopStuck gives up on a delivery that does not heed its context.
func TestStopStuck(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		b.ends(func(int64) (invites.Outcome, error) {
			<-hold
			return invites.Outcome{Kind: invites.OutcomeDone}, nil
		})
		q := b.queue()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		ctx, cancel := context.WithTimeout(context.Background(), enough)
		defer cancel()
		if err := q.Stop(ctx); err == nil {
			t.Error("Stop did not say that a delivery is still running")
		}
		close(hold)
	})
}

// TestSweep finds rows without a job at the start and then again and again, and leaves those alone that wait.
func TestSweep(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.SweepEvery = 50 * time.Millisecond
		b.Workers = 1
		var mu sync.Mutex
		due := []int64{1, 2}
		b.Sweep = func(context.Context) ([]int64, error) {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(due), nil
		}
		cleaned := make(chan struct{}, 100)
		b.CleanEvery = 70 * time.Millisecond
		b.Clean = func(context.Context) error {
			cleaned <- struct{}{}
			return errors.New("can't clean")
		}
		b.ends(func(row int64) (invites.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			due = slices.DeleteFunc(due, func(r int64) bool { return r == row })
			return invites.Outcome{Kind: invites.OutcomeDone}, nil
		})
		b.queue()
		b.sees(1)
		b.sees(2)
		for range 3 {
			<-cleaned
		}
		mu.Lock()
		due = []int64{7}
		mu.Unlock()
		b.sees(7)
		if !strings.Contains(b.log.String(), "can't clean") {
			t.Error("a failed cleaning is not logged")
		}
	})
}
