package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
)

// group is SQLite's committer, and PostgreSQL's of commits with audit rows, which can't be under way at the same time. A durable commit costs the same for one write as for a hundred. So the writes arriving during
// a commit share the next one: the first of their callers leads, runs all of these writes, each apart, and commits.
type group struct {
	handle
	maxRows int  // rows of one statement of a multi
	shared  bool // other processes write, too

	mu      sync.Mutex
	waiting []*write // the writes of the next commit, in the order of arrival
	led     bool     // some caller leads
	chain   *chain   // the end of the audit after the last commit, unless shared; nil: to be read
}

// maxShared bounds a commit, so the first in it does not wait long for the last.
const maxShared = 256

// write is one caller's part of a commit.
type write struct {
	fn   func(*tx) error
	err  error
	lead chan struct{} // closed when it is this caller's turn to lead
	done chan struct{} // closed when err is final
}

var errAborted = errors.New("store: commit aborted")

// commit implements committer.
func (g *group) commit(ctx context.Context, _ kind, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{fn: fn, err: errAborted, lead: make(chan struct{}), done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.appoint()
	g.mu.Unlock()
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

// appoint makes the first waiting caller the leader, unless a caller leads already. g.mu is held.
func (g *group) appoint() {
	if !g.led && len(g.waiting) > 0 {
		g.led = true
		close(g.waiting[0].lead)
	}
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

// leads commits w and all waiting writes. The context of w ends the wait for the connection; where other processes write, too, it ends the commit
// as well, and the other writes have another leader.
func (g *group) leads(ctx context.Context, w *write) {
	conn, err := g.db.Conn(ctx)
	batch := g.take(err == nil, w)
	defer func() { g.finish(batch) }()
	if err != nil {
		w.err = err
		return
	}
	defer conn.Close()
	work := context.WithoutCancel(ctx)
	if g.shared { // a process that stops to be the active one ends its commits at once
		work = ctx
	}
	ran, err := g.try(work, conn, batch, together)
	if !ran && len(batch) > 1 && work.Err() == nil {
		ran, err = g.try(work, conn, batch, apart)
	}
	if !ran && work.Err() != nil { // the others have done nothing wrong
		g.giveBack(batch[1:])
		batch = batch[:1]
	}
	if err != nil {
		for _, w := range batch {
			w.err = err
		}
	}
}

// try runs the writes of a batch in one transaction and commits it. ran reports whether all of them ran and nobody gave up;
// then an error is the commit's.
func (g *group) try(ctx context.Context, conn *sql.Conn, batch []*write, run func(*tx, []*write) error) (ran bool, err error) {
	sqlTx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer sqlTx.Rollback() // does nothing after the commit
	t := &tx{ctx: ctx, on: sqlTx, stmts: g.stmts, costs: g.costs, maxRows: g.maxRows, chain: g.chain}
	g.chain = nil // until the end of the commit is known
	if err := run(t, batch); err != nil {
		return false, err
	}
	if err = t.finish(); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return ctx.Err() == nil, err
	}
	err = g.costs.commit(sqlTx.Commit())
	if err == nil && !g.shared {
		g.chain = t.chain
	}
	return true, err
}

// take returns the writes of the next commit: all waiting, or w alone.
func (g *group) take(all bool, w *write) []*write {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 1 // w: the write of the leader is the first
	if all {
		n = min(len(g.waiting), maxShared)
	}
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return batch
}

// giveBack returns writes of a batch, to be the first of the next one.
func (g *group) giveBack(writes []*write) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(slices.Clone(writes), g.waiting...)
}

// finish wakes the callers of a batch, and appoints the next leader.
func (g *group) finish(batch []*write) {
	for _, w := range batch {
		close(w.done)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.led = false
	g.appoint()
}

// together runs the writes one after the other. After an error the transaction has to be rolled back.
func together(t *tx, batch []*write) error {
	for _, w := range batch {
		if w.err = w.fn(t); w.err != nil {
			return w.err
		}
	}
	return nil
}

// apart runs each write between savepoints, so a failed write leaves the others alone. It is for a batch in which a write
// has failed: a savepoint costs as much as a small write. After an error nothing can be committed.
func apart(t *tx, batch []*write) error {
	for _, w := range batch {
		if _, err := t.exec(savepoint); err != nil {
			return err
		}
		audit, end := len(t.audit), t.chain
		if w.err = w.fn(t); w.err != nil {
			t.audit, t.chain = t.audit[:audit], end
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
