package jobs_test

import (
	"context"
	"testing"
	"time"

	"usher/invites"
)

// BenchmarkWake measures a wake-up from Wake to its delivery, alone and by the thousand.
func BenchmarkWake(b *testing.B) {
	for _, rows := range []int{1, 1000} {
		{
			b.Run(map[int]string{1: "one", 1000: "thousand"}[rows], func(b *testing.B) {
				bench := newBench(b)
				bench.Deliver = each(func(_ context.Context, row int64) (invites.Outcome, error) {
					bench.delivered <- row
					return invites.Outcome{Status: invites.StatusDone}, nil
				})
				q := bench.queue()
				next := int64(0)
				for b.Loop() {
					list := make([]int64, rows)
					for i := range list {
						next++
						list[i] = next
					}
					if err := q.Wake(b.Context(), time.Time{}, list...); err != nil {
						b.Fatal(err)
					}
					for range list {
						<-bench.delivered
					}
				}
			})
		}
	}
}
