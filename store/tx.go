package store

import (
	"context"
	"database/sql"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"

	"usher/invites"
)

// kind is the kind of a commit.
type kind uint8

const (
	plain   kind = iota
	single       // one statement: PostgreSQL needs no BEGIN and COMMIT for it
	audited      // adds audit rows: on PostgreSQL such commits wait for each other, so they share one
)

// committer runs fn, finishes the audit and commits. fn may run again after a temporary failure, so it starts anew each time. After nil the writes of fn
// are durable. After an error none of them is, but a commit with a lost answer may have happened.
type committer interface {
	commit(ctx context.Context, k kind, fn func(*tx) error) error
}

// costs counts the work of the database. A nil one counts nothing.
type costs struct{ statements, commits atomic.Int64 }

// statement counts a statement.
func (c *costs) statement() {
	if c != nil {
		c.statements.Add(1)
	}
}

// commit counts a commit without an error, and returns err.
func (c *costs) commit(err error) error {
	if err == nil {
		c.commits.Add(1)
	}
	return err
}

// handle is a database with its prepared statements.
type handle struct {
	db    *sql.DB
	stmts map[string]*sql.Stmt
	costs *costs
}

// prepare prepares statements for SQLite. pgx prepares by itself.
func (h *handle) prepare(ctx context.Context, queries ...string) error {
	h.stmts = make(map[string]*sql.Stmt, len(queries))
	for _, q := range queries {
		stmt, err := h.db.PrepareContext(ctx, q)
		if err != nil {
			return err
		}
		h.stmts[q] = stmt
	}
	return nil
}

// query runs a reading statement and calls scan for each row.
func (h *handle) query(ctx context.Context, scan func(row) error, query string, args ...any) error {
	h.costs.statement()
	args = encoded(args)
	if stmt := h.stmts[query]; stmt != nil {
		return each(scan)(stmt.QueryContext(ctx, args...))
	}
	return each(scan)(h.db.QueryContext(ctx, query, args...))
}

// executor is a database or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tx is one commit under way.
type tx struct {
	ctx     context.Context
	on      executor
	stmts   map[string]*sql.Stmt
	costs   *costs
	maxRows int             // rows of one statement of a multi, a power of two
	audit   []invites.Audit // rows for finish
	chain   *chain          // the end of the audit, where no other process moves it; nil: to be read
}

// stmt returns the prepared statement for query, or nil.
func (t *tx) stmt(query string) *sql.Stmt {
	if stmt := t.stmts[query]; stmt != nil {
		if in, ok := t.on.(*sql.Tx); ok {
			return in.StmtContext(t.ctx, stmt)
		}
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	var res sql.Result
	var err error
	t.costs.statement()
	args = encoded(args)
	if stmt := t.stmt(query); stmt != nil {
		res, err = stmt.ExecContext(t.ctx, args...)
	} else {
		res, err = t.on.ExecContext(t.ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query runs a statement to its end and calls scan for each row.
func (t *tx) query(scan func(row) error, query string, args ...any) error {
	t.costs.statement()
	args = encoded(args)
	if stmt := t.stmt(query); stmt != nil {
		return each(scan)(stmt.QueryContext(t.ctx, args...))
	}
	return each(scan)(t.on.QueryContext(t.ctx, query, args...))
}

// each reads all rows: SQLite ends a RETURNING statement only after its last row.
func each(scan func(row) error) func(*sql.Rows, error) error {
	return func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(row{rows}); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// multi is a statement over rows of values, in variants for 1, 2, 4 … rows. The variants are few, so they stay prepared; the
// statements of dbutil.MassInsertBuilder, with a variant for each number of rows, would be compiled for each commit.
type multi struct{ texts []string }

// maxMulti bounds the rows of one statement: 64 rows of 19 columns stay far from the limits of both databases.
const maxMulti = 64

// newMulti puts rows of the given columns between head and tail. A column is "" or a type to cast its value to.
func newMulti(head, tail string, columns ...string) multi {
	var m multi
	for n := 1; n <= maxMulti; n *= 2 {
		var b strings.Builder
		b.WriteString(head)
		for i := range n * len(columns) {
			switch {
			case i == 0:
				b.WriteString("(")
			case i%len(columns) == 0:
				b.WriteString("), (")
			default:
				b.WriteString(", ")
			}
			p := "$" + strconv.Itoa(i+1)
			if c := columns[i%len(columns)]; c != "" {
				p = "CAST(" + p + " AS " + c + ")"
			}
			b.WriteString(p)
		}
		b.WriteString(")" + tail)
		m.texts = append(m.texts, b.String())
	}
	return m
}

// forRows returns the statement for the given number of rows of one column, at most maxMulti, and its arguments: it has rows for the next power of two, and
// the last value fills them.
func (m multi) forRows(values []any) (query string, args []any) {
	k := bits.Len(uint(len(values) - 1))
	for len(values) < 1<<k {
		values = append(values, values[len(values)-1])
	}
	return m.texts[k], values
}

// each calls do with a statement and its arguments until all rows are done.
func (m multi) each(t *tx, rows [][]any, do func(query string, args []any) error) error {
	for len(rows) > 0 {
		k := bits.Len(uint(min(len(rows), t.maxRows))) - 1
		n := 1 << k
		args := rows[0]
		if n > 1 {
			args = make([]any, 0, n*len(rows[0]))
			for _, r := range rows[:n] {
				args = append(args, r...)
			}
		}
		if err := do(m.texts[k], args); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// exec runs the statement over rows and returns how many rows it changed.
func (m multi) exec(t *tx, rows [][]any) (changed int64, err error) {
	err = m.each(t, rows, func(query string, args []any) error {
		n, err := t.exec(query, args...)
		changed += n
		return err
	})
	return changed, err
}

// query runs the statement over rows and calls scan for each returned row.
func (m multi) query(t *tx, rows [][]any, scan func(row) error) error {
	return m.each(t, rows, func(query string, args []any) error { return t.query(scan, query, args...) })
}
