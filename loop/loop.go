// Package loop has the two loops that every part of Usher needs: call something regularly, and try again with growing pauses.
package loop

import (
	"context"
	"time"
)

// Every calls fn after each pause of the given length, until ctx ends.
func Every(ctx context.Context, pause time.Duration, fn func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fn(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Backoff counts the pauses between tries. They begin with First and double up to Last. It is for one goroutine.
type Backoff struct {
	First, Last time.Duration
	next        time.Duration
}

// Next returns the length of the next pause.
func (b *Backoff) Next() time.Duration {
	pause := max(b.next, b.First)
	b.next = min(2*pause, b.Last)
	return pause
}

// Reset makes the next pause the first one again, after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Sleep sleeps for a pause, or until ctx ends; then it reports false.
func Sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
