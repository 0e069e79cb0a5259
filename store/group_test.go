package store_test

import (
	"sync"
	"testing"
)

// TestPanicInSharedCommit: a write that panics in a commit keeps no other caller of that commit waiting, and the store goes on.
func TestPanicInSharedCommit(t *testing.T) {
	s := sqliteStore(t)
	var callers sync.WaitGroup
	panicked := make(chan any, 1)
	for n := range 20 {
		callers.Go(func() {
			defer func() {
				if cause := recover(); cause != nil {
					panicked <- cause
				}
			}()
			_ = s.Commit(t.Context(), func() {
				if n == 10 {
					panic("a bug")
				}
			})
		})
	}
	callers.Wait()
	if len(panicked) != 1 {
		t.Error("nothing panicked")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
