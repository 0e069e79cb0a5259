package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"go.mau.fi/util/dbutil"

	"usher/invites"
)

// The audit is a chain: the hash of a row covers its fields and the hash of the row before, in the order of ids. So nobody changes, inserts or
// deletes a row in the middle without every later hash. The last hash stands in the log once an hour, out of reach of the database.
//
// A commit chains its rows at its end, when it holds the row of audit_chain: ids and hashes have the same order in all processes. Rows by
// earlier versions have no hash. The next commit takes them into the chain. On SQLite, where no other process writes, only the first commit reads
// the row.

const (
	lockChain   = `UPDATE audit_chain SET id = id RETURNING last, hash, base`
	selectChain = `SELECT last, hash, base FROM audit_chain`
	moveChain   = `UPDATE audit_chain SET last = $1, hash = $2, base = $3`

	selectDecided   = `SELECT part FROM audit WHERE cmd = $1 AND part IS NOT NULL`
	selectUnchained = `SELECT id, ` + auditColumns + `, hash FROM audit WHERE id > $1 ORDER BY id LIMIT $2`
	selectAllAudit  = `SELECT id, ` + auditColumns + `, hash FROM audit ORDER BY id`
	selectOldAudit  = selectAllAudit + ` LIMIT $1`
	deleteOldAudit  = `DELETE FROM audit WHERE id <= $1`
)

var insertAudit = newMulti(`INSERT INTO audit (cmd, part, `+auditColumns+`, hash) VALUES `, ` RETURNING id`, make([]string, 14)...)

// chain is the row of audit_chain.
type chain struct {
	last int64  // id of the last row
	hash string // of the last row
	base string // the hash before the first row
}

func chainFields(c *chain) []any { return []any{&c.last, &c.hash, &c.base} }

// link is a row with its hash, nil for rows of earlier versions.
type link struct {
	invites.Audit
	hash *string
}

func linkFields(l *link) []any { return append(auditFields(&l.Audit), &l.hash) }

// add moves the end of the chain to a row.
func (c *chain) add(a *invites.Audit) {
	c.last, c.hash = a.ID, chained(c.hash, a)
}

// chained returns the hash of a row after the hash of the row before.
func chained(before string, a *invites.Audit) string {
	sum := sha256.Sum256(prefixed(before, strconv.FormatInt(milliseconds(a.At), 10), string(a.Kind), string(a.Action), string(a.Room),
		string(a.Actor), string(a.Performer), string(a.Target), a.Verdict, a.Code, string(a.Policy), a.Request))
	return hex.EncodeToString(sum[:])
}

// adoptStep is how many rows of earlier versions one step takes into the chain.
const adoptStep = 5000

// adopt takes up to adoptStep rows of earlier versions into the chain. It returns how many.
func (c *chain) adopt(t *tx) (n int, err error) {
	err = t.query(func(r row) error {
		var l link
		err := r.Scan(linkFields(&l)...)
		c.add(&l.Audit)
		n++
		return err
	}, selectUnchained, c.last, adoptStep)
	return n, err
}

// locked reads the chain and keeps other commits from it until the end of this one.
func (t *tx) locked() (c chain, err error) {
	if t.chain != nil {
		return *t.chain, nil
	}
	err = t.query(into(&c, chainFields), lockChain)
	for n := adoptStep; err == nil && n == adoptStep; {
		n, err = c.adopt(t)
	}
	return c, err
}

func (t *tx) move(c chain) error {
	_, err := t.exec(moveChain, c.last, c.hash, c.base)
	t.chain = &c
	return err
}

// finish writes the audit rows of a commit. The committer calls it after all writes: no commit waits for a lock while it holds the chain.
func (t *tx) finish() error {
	if len(t.audit) == 0 {
		return nil
	}
	c, err := t.locked()
	if err != nil {
		return err
	}
	fresh, err := t.undecided(t.audit)
	if err != nil {
		return err
	}
	rows := make([][]any, len(fresh))
	for i, one := range fresh {
		c.hash = chained(c.hash, &one.Audit)
		rows[i] = append([]any{digest(one.Request), one.part}, append(auditFields(&one.Audit)[1:], c.hash)...)
	}
	if err := insertAudit.query(t, rows, func(r row) error {
		var id int64
		err := r.Scan(&id)
		c.last = max(c.last, id)
		return err
	}); err != nil {
		return err
	}
	return t.move(c)
}

// entry is an audit row to write. part is the key of the decision of a request on one action, room and target, which is written once; nil
// for other rows.
type entry struct {
	invites.Audit
	part any
}

// undecided returns the rows of a commit without the decisions written before.
func (t *tx) undecided(audit []invites.Audit) ([]entry, error) {
	var fresh []entry
	written := map[int64]map[int64]bool{}
	for _, a := range audit {
		if a.Kind != invites.AuditDecision || a.Request == "" {
			fresh = append(fresh, entry{Audit: a})
			continue
		}
		cmd, part := digest(a.Request), digest(string(a.Action), string(a.Room), string(a.Target))
		if written[cmd] == nil {
			written[cmd] = map[int64]bool{}
			if err := t.query(func(r row) error {
				var known int64
				err := r.Scan(&known)
				written[cmd][known] = true
				return err
			}, selectDecided, cmd); err != nil {
				return nil, err
			}
		}
		if !written[cmd][part] {
			written[cmd][part] = true
			fresh = append(fresh, entry{a, part})
		}
	}
	return fresh, nil
}

// chainAll takes the rows of earlier versions into the chain at the start, in several commits when there are many.
func (s *db) chainAll(ctx context.Context) error {
	for n := adoptStep; n == adoptStep; {
		err := s.write.commit(ctx, plain, func(t *tx) error {
			var c chain
			err := t.query(into(&c, chainFields), lockChain)
			if err != nil {
				return err
			}
			if n, err = c.adopt(t); err != nil || n == 0 {
				return err
			}
			return t.move(c)
		})
		if err != nil {
			return fmt.Errorf("store: chaining the audit: %w", err)
		}
	}
	return nil
}

// cleanAudit deletes the first rows of the chain written before a time, and keeps the hash before the first row that stays.
func (s *db) cleanAudit(ctx context.Context, before time.Time) error {
	for n := cleanStep; n == cleanStep; {
		err := s.write.commit(ctx, plain, func(t *tx) error {
			n = 0
			c, err := t.locked()
			if err != nil {
				return err
			}
			var end int64
			from, young := c.base, false
			if err := t.query(func(r row) error {
				var l link
				if err := r.Scan(linkFields(&l)...); err != nil {
					return err
				}
				if young = young || !l.At.Before(before); young {
					return nil
				}
				n++
				end, from = l.ID, chained(from, &l.Audit)
				if l.hash != nil {
					from = *l.hash
				}
				return nil
			}, selectOldAudit, cleanStep); err != nil || end == 0 {
				return err
			}
			c.base = from
			if _, err := t.exec(deleteOldAudit, end); err != nil {
				return err
			}
			return t.move(c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ChainHead returns the hash of the last audit row, empty without any row.
func (s AuditLog) ChainHead(ctx context.Context) (string, error) {
	c, err := one(ctx, s.db, chainFields, selectChain)
	return c.hash, err
}

// Chain is what VerifyAudit found.
type Chain struct {
	Rows        int64
	First, Last time.Time // the times of the first and the last row
	Head        string    // hash of the last row
	Broken      int64     // id of the first row that does not fit to its hash, or to the rows before; 0: none
	Cut         bool      // rows are missing at the end, or were added there
	Found       bool      // the hash looked for is the hash of a row, or of the last row deleted by age
}

// VerifyAudit computes the hashes of all audit rows again, beside a running Usher, and looks for one.
func (r *Reader) VerifyAudit(ctx context.Context, look string) (found Chain, err error) {
	o := &sql.TxOptions{}
	if r.db.dialect == dbutil.Postgres {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true} // all rows as of one moment; SQLite gives that by itself
	}
	on, err := r.db.raw.BeginTx(ctx, o)
	if err != nil {
		return found, err
	}
	defer on.Rollback()
	t := &tx{ctx: ctx, on: on}
	var head chain
	if err := t.query(into(&head, chainFields), selectChain); err != nil {
		return found, fmt.Errorf("store: the audit has no chain: %w", err)
	}
	c := chain{hash: head.base}
	found.Found = look != "" && look == head.base
	err = t.query(func(r row) error {
		var l link
		if err := r.Scan(linkFields(&l)...); err != nil {
			return err
		}
		if l.ID > head.last && l.hash == nil { // by an earlier version, which runs at this moment
			return nil
		}
		c.add(&l.Audit)
		if l.hash != nil && *l.hash != c.hash && found.Broken == 0 {
			found.Broken = l.ID
		}
		if l.hash != nil {
			c.hash = *l.hash // later rows are judged for themselves
		}
		found.Found = found.Found || look != "" && c.hash == look
		found.Rows++
		if found.First.IsZero() {
			found.First = l.At
		}
		found.Last = l.At
		return nil
	}, selectAllAudit)
	found.Head = c.hash
	found.Cut = c.hash != head.hash
	return found, err
}
