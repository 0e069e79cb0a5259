package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func TestWakeAtOnce(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
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
	alone(t, func(t *testing.T, b *bench) {
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
	alone(t, func(t *testing.T, b *bench) {
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
	alone(t, func(t *testing.T, b *bench) {
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
	alone(t, func(t *testing.T, b *bench) {
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
	alone(t, func(t *testing.T, b *bench) {
		b.Workers = 1
		hold := make(chan struct{})
		b.ends(func(int64) (invites.Outcome, error) {
			<-hold
			return invites.Outcome{Status: invites.StatusDone}, nil
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
		kind  invites.Status
		again bool
	}{
		{"done", invites.StatusDone, false},
		{"refused", invites.StatusRefused, false},
		{"gone", "", false},
		{"later", invites.StatusOpen, true},
		{"failed", invites.StatusOpen, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				at := time.Now().Add(1500 * time.Millisecond)
				var once sync.Once
				b.ends(func(int64) (o invites.Outcome, err error) {
					o.Status = invites.StatusDone
					once.Do(func() { o = invites.Outcome{Status: tt.kind, At: at} })
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
	alone(t, func(t *testing.T, b *bench) {
		var once sync.Once
		b.ends(func(int64) (o invites.Outcome, err error) {
			o.Status = invites.StatusDone
			once.Do(func() { o = invites.Outcome{Status: invites.StatusOpen, At: time.Now().Add(24 * time.Hour)} })
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
	alone(t, func(t *testing.T, b *bench) {
		b.ends(func(row int64) (invites.Outcome, error) {
			switch {
			case row <= 4:
				panic("the delivery is broken")
			case row <= 8:
				return invites.Outcome{}, errors.New("the database is gone")
			}
			return invites.Outcome{Status: invites.StatusDone}, nil
		})
		q := b.queue()
		for row := range int64(8) {
			b.wake(q, time.Now(), row+1) // each by itself, as the sweep does
		}
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
	alone(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		ended := false
		b.Deliver = each(func(ctx context.Context, row int64) (invites.Outcome, error) {
			b.delivered <- row
			<-hold
			ended = ctx.Err() == nil
			return invites.Outcome{Status: invites.StatusDone}, nil
		})
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
	alone(t, func(t *testing.T, b *bench) {
		b.Workers = 1
		end := b.Deliver
		b.Deliver = each(func(ctx context.Context, row int64) (invites.Outcome, error) {
			b.delivered <- row
			<-ctx.Done()
			return invites.Outcome{}, ctx.Err()
		})
		q := b.queue()
		b.wake(q, time.Now(), 1, 2)
		b.wants(1)
		b.stop(q, enough)
		b.Deliver = end
		b.Sweep = func(context.Context) ([]int64, error) { return []int64{1, 2}, nil }
		b.start(b.idle())
		b.wants(1, 2)
		if log := b.log.String(); log != "" {
			t.Errorf("logged %s", log)
		}
	})
}

// TestStopStuck gives up on a delivery that does not heed its context.
func TestStopStuck(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		b.ends(func(int64) (invites.Outcome, error) {
			<-hold
			return invites.Outcome{Status: invites.StatusDone}, nil
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

// TestStopOfHangingSweep: on a dead disk a query may not heed its context. Stop does not wait for it.
func TestStopOfHangingSweep(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		defer close(hold)
		b.Config.Sweep = func(context.Context) ([]int64, error) { <-hold; return nil, nil }
		b.HardStop = enough
		q := b.idle()
		q.Start()
		ctx, cancel := context.WithTimeout(context.Background(), enough)
		defer cancel()
		start := time.Now()
		if err := q.Stop(ctx); err != nil || time.Since(start) > 10*time.Second {
			t.Error(err, time.Since(start))
		}
	})
}

// TestSweep finds rows without a job at the start and then again and again, and leaves those alone that wait.
func TestSweep(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
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
			return invites.Outcome{Status: invites.StatusDone}, nil
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

// TestCrashed leaves a delivery behind that never ends, as a crash does: the next start's sweep delivers its row.
func TestCrashed(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		t.Cleanup(func() { close(hold) })
		end := b.Deliver
		b.ends(func(int64) (o invites.Outcome, err error) {
			<-hold
			return o, nil
		})
		q := b.idle()
		q.Start()
		b.wake(q, time.Now(), 1)
		b.wants(1)
		b.Deliver = end
		b.Sweep = func(context.Context) ([]int64, error) { return []int64{1}, nil }
		b.queue()
		b.wants(1)
		b.wantsNoMore()
	})
}

// TestCrashedOften crashes during the delivery of one row five times: the next start delivers the row.
func TestCrashedOften(t *testing.T) { alone(t, testCrashedOften) }

func testCrashedOften(t *testing.T, b *bench) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	end := b.Deliver
	b.ends(func(int64) (o invites.Outcome, err error) {
		<-hold
		return o, nil
	})
	b.Sweep = func(context.Context) ([]int64, error) { return []int64{1}, nil }
	for range 5 {
		b.idle().Start()
		b.wants(1)
	}
	b.Deliver = end
	b.queue()
	b.wants(1)
}

// byActor gives rows below a million to one actor, and the others to another.
type byActor struct{}

func (byActor) Turns(_ context.Context, rows []int64) (turns []invites.Turn, err error) {
	for _, row := range rows {
		turns = append(turns, invites.Turn{Row: row, Priority: invites.PriorityBulk, Actor: id.UserID(fmt.Sprintf("@a%d:x", row/1_000_000))})
	}
	return turns, nil
}

// TestMemoryIsShared: one actor's rows do not fill the memory of the queue. The next row of another actor is not left to the sweep.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Turns, b.Workers = byActor{}, 1
	hold, other := make(chan struct{}), make(chan struct{})
	b.Deliver = each(func(ctx context.Context, row int64) (invites.Outcome, error) {
		if row >= 1_000_000 {
			close(other)
		}
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return invites.Outcome{Status: invites.StatusDone}, nil
	})
	q := b.queue()
	rows := make([]int64, 120_000)
	for i := range rows {
		rows[i] = int64(i + 1)
	}
	b.wake(q, time.Time{}, rows...)
	b.wake(q, time.Time{}, 1_000_000)
	close(hold)
	select {
	case <-other:
	case <-time.After(patience):
		t.Error("the other actor's row is not delivered")
	}
}
