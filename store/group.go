package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"
)

// group is SQLite's committer. A durable commit costs the same for one write as for a hundred, so those who come
// while one is under way share the next: the first of them leads, runs everybody's writes, each apart, and commits.
type group struct {
	handle

	mu      sync.Mutex
	waiting []*write
	led     bool          // somebody leads
	alarm   *time.Timer   // set while only unhurried writes wait: ends their patience
	came    chan struct{} // has room for one: an awaited write may be among those who wait
}

// linger is how long unhurried writes wait for others, and a commit for what its events have begun: about as long as it takes to
// ask a homeserver something. If nothing comes, nobody has waited longer than for a slow disk.
const linger = 2 * time.Millisecond

// maxShared bounds a commit, so that the first in it does not wait long for the last.
const maxShared = 256

// write is one caller's part of a commit.
type write struct {
	kind kind
	fn   func(*tx) error
	err  error
	lead chan struct{} // closed when it is this caller's turn to lead
	done chan struct{} // closed when err is final
}

var errAborted = errors.New("store: commit aborted")

// commit implements committer.
func (g *group) commit(ctx context.Context, k kind, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{kind: k, fn: fn, err: errAborted, lead: make(chan struct{}), done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.appoint()
	g.mu.Unlock()
	if k&awaited != 0 {
		select {
		case g.came <- struct{}{}:
		default:
		}
	}
	select {
	case <-w.lead:
		g.leads(ctx, w)
	case <-w.done:
	case <-ctx.Done():
		if g.leave(w) {
			return ctx.Err()
		}
	}
	<-w.done
	return w.err
}

// appoint makes the first who waits the leader, unless somebody leads or none is in a hurry. g.mu is held.
func (g *group) appoint() {
	switch {
	case g.led || len(g.waiting) == 0:
	case slices.ContainsFunc(g.waiting, func(w *write) bool { return w.kind&unhurried == 0 }):
		g.lead()
	case g.alarm == nil:
		g.alarm = time.AfterFunc(linger, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.alarm = nil
			if !g.led && len(g.waiting) > 0 {
				g.lead()
			}
		})
	}
}

// lead makes the first who waits the leader. g.mu is held.
func (g *group) lead() {
	g.led = true
	close(g.waiting[0].lead)
}

// leave takes w back, unless a commit has it already.
func (g *group) leave(w *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, w)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	select {
	case <-w.lead: // appointed meanwhile: the next one leads
		g.led = false
		g.appoint()
	default:
	}
	return true
}

// leads commits w and all who wait by then. The context of w ends the wait for the connection, not the commit.
func (g *group) leads(ctx context.Context, w *write) {
	conn, err := g.db.Conn(ctx)
	batch := g.take(err == nil, w)
	defer func() { g.finish(batch) }()
	if err != nil {
		w.err = err
		return
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	ran, err := g.try(ctx, conn, &batch, together)
	if !ran && len(batch) > 1 {
		_, err = g.try(ctx, conn, &batch, apart)
	}
	if err != nil {
		for _, w := range batch {
			w.err = err
		}
	}
}

// try runs the writes of a batch, and those that it has to wait for, which join it, in one transaction and commits it. It reports
// whether they ran; then an error is the commit's.
func (g *group) try(ctx context.Context, conn *sql.Conn, batch *[]*write, run func(*tx, []*write) error) (ran bool, err error) {
	sqlTx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer sqlTx.Rollback() // does nothing after the commit
	t := &tx{ctx: ctx, on: sqlTx, stmts: g.stmts, maxRows: sqliteRows}
	if err := run(t, *batch); err != nil {
		return false, err
	}
	if t.awaits > 0 {
		late := g.await(t.awaits)
		*batch = append(*batch, late...)
		if err := run(t, late); err != nil {
			return false, err
		}
	}
	return true, sqlTx.Commit()
}

// await returns up to n awaited writes, as they come.
func (g *group) await(n int) (late []*write) {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for {
		g.mu.Lock()
		g.waiting = slices.DeleteFunc(g.waiting, func(w *write) bool {
			if w.kind&awaited == 0 || len(late) == n {
				return false
			}
			late = append(late, w)
			return true
		})
		g.mu.Unlock()
		if len(late) == n {
			return late
		}
		select {
		case <-g.came:
		case <-timer.C:
			return late
		}
	}
}

// take returns the writes of the next commit: all who wait, or w alone.
func (g *group) take(all bool, w *write) []*write {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 1 // w: who leads is the first
	if all {
		n = min(len(g.waiting), maxShared)
	}
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return batch
}

// finish tells everybody of the batch, and has the next one lead.
func (g *group) finish(batch []*write) {
	for _, w := range batch {
		close(w.done)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.led = false
	g.appoint()
}

// together runs the writes one after the other. An error means that nothing can be committed like this.
func together(t *tx, batch []*write) error {
	for _, w := range batch {
		if w.err = w.fn(t); w.err != nil {
			return w.err
		}
	}
	return nil
}

// apart runs each write between savepoints, so that one that fails leaves the others alone: savepoints cost as much as a
// small write, and writes hardly ever fail. It returns an error when nothing can be committed.
func apart(t *tx, batch []*write) error {
	for _, w := range batch {
		if _, err := t.exec(savepoint); err != nil {
			return err
		}
		if w.err = w.fn(t); w.err != nil {
			if _, err := t.exec(rollbackTo); err != nil {
				return w.err // the transaction is gone, as after a full disk
			}
		}
		if _, err := t.exec(release); err != nil {
			return err
		}
	}
	return nil
}

const (
	savepoint  = `SAVEPOINT one`
	rollbackTo = `ROLLBACK TO one`
	release    = `RELEASE one`
)
