package chat

import (
	"context"
	"sync"
	"time"
)

// Background runs jobs outside of their callers: beside a lane, or after a pause. Run gives them their context.
type Background struct {
	jobs    chan func(context.Context)
	over    chan struct{} // closed at the end of Run
	working sync.WaitGroup
}

// NewBackground makes a Background. Run has to be called, once.
func NewBackground() *Background {
	return &Background{jobs: make(chan func(context.Context)), over: make(chan struct{})}
}

// Run runs jobs with ctx until ctx ends. Later jobs are dropped.
func (b *Background) Run(ctx context.Context) {
	defer close(b.over)
	for {
		select {
		case job := <-b.jobs:
			go func() {
				defer b.working.Done()
				job(ctx)
			}()
		case <-ctx.Done():
			return
		}
	}
}

// Do has a job begin now.
func (b *Background) Do(job func(context.Context)) {
	b.working.Add(1)
	select {
	case b.jobs <- job:
	case <-b.over:
		b.working.Done()
	}
}

// After has a job begin after a pause.
func (b *Background) After(pause time.Duration, job func(context.Context)) {
	time.AfterFunc(pause, func() { b.Do(job) })
}

// Wait waits for all begun jobs, or for ctx.
func (b *Background) Wait(ctx context.Context) error { return wait(ctx, &b.working) }
