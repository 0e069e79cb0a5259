// Package harness holds what end-to-end tests stand on: accounts and rooms on a real homeserver, a Usher process to start,
// kill and restart, and proxies on both of its sides that record and can disturb what passes.
package harness

import (
	"context"
	"sync"
)

// recorder is a list that grows and can be waited on. The zero value is ready.
type recorder[T any] struct {
	mu      sync.Mutex
	all     []T
	changed chan struct{} // closed and replaced at each addition; nil when nobody waits
}

// add appends one entry and wakes those who wait.
func (r *recorder[T]) add(entry T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, entry)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// list returns the entries that match, in order; all of them for a nil match.
func (r *recorder[T]) list(match func(T) bool) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []T
	for _, entry := range r.all {
		if match == nil || match(entry) {
			found = append(found, entry)
		}
	}
	return found
}

// await returns the first entry that matches, those already there included, or ctx's error.
func (r *recorder[T]) await(ctx context.Context, match func(T) bool) (T, error) {
	for from := 0; ; {
		r.mu.Lock()
		for ; from < len(r.all); from++ {
			if match(r.all[from]) {
				defer r.mu.Unlock()
				return r.all[from], nil
			}
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}
