package bot

import (
	"context"
	"time"

	"usher/loop"
)

// setBack is the least step of the clock that counts. Smaller ones are slewed by NTP, and cost less than a minute.
const setBack = time.Minute

// clockEvery is the pause between two looks at the clock.
const clockEvery = 5 * time.Second

// clockWatch finds out that the wall clock was set back, against a clock that only goes on. Rows wait until a time of the wall clock,
// which is further away then.
type clockWatch struct {
	wall time.Time     // of the last look
	ran  time.Duration // then, by the other clock
}

// step returns by how much the wall clock was set back since the last call, 0 for less than setBack. ran is the time since the start.
func (c *clockWatch) step(wall time.Time, ran time.Duration) time.Duration {
	before := *c
	*c = clockWatch{wall.Round(0), ran} // Round takes the reading of the other clock off
	if before.wall.IsZero() {
		return 0
	}
	if back := (ran - before.ran) - c.wall.Sub(before.wall); back >= setBack {
		return back
	}
	return 0
}

// watchClock makes waiting rows due earlier when the clock is set back, until ctx ends.
func (b *bot) watchClock(ctx context.Context) {
	var clock clockWatch
	start := time.Now()
	clock.step(start, 0)
	loop.Every(ctx, clockEvery, func(ctx context.Context) {
		if back := clock.step(time.Now(), time.Since(start)); back > 0 {
			b.sooner(ctx, back)
		}
	})
}

// recallClock makes waiting rows due earlier if the clock was set back since an earlier process wrote.
func (b *bot) recallClock(ctx context.Context) error {
	last, err := b.store.LastWritten(ctx)
	if back := time.Until(last); err == nil && back >= setBack {
		b.sooner(ctx, back)
	}
	return err
}

func (b *bot) sooner(ctx context.Context, back time.Duration) {
	rows, err := b.store.Sooner(ctx, time.Now(), back)
	b.log.Warn().Err(err).Dur("by", back).Int64("rows", rows).Msg("Clock set back: rows that wait are due earlier")
}
