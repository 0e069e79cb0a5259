package store

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	selectQuota       = `SELECT version FROM quota WHERE room_id = $1`
	selectSpent       = `SELECT actor, server, at FROM spending WHERE room_id = $1 AND at > $2 ORDER BY at`
	selectSpentServer = `SELECT actor, server, at FROM spending WHERE room_id = $1 AND server = $3 AND at > $2 ORDER BY at`
	selectSpentActor  = `SELECT actor, server, at FROM spending WHERE room_id = $1 AND actor = $3 AND at > $2 ORDER BY at`
	updateQuota       = `INSERT INTO quota (room_id, version) VALUES ($1, 1)
		ON CONFLICT (room_id) DO UPDATE SET version = quota.version + 1 WHERE quota.version = $2`
	deleteSpent    = `DELETE FROM spending WHERE (cmd, part) = (SELECT cmd, part FROM invitation WHERE id = $1)`
	deleteSpending = `DELETE FROM spending WHERE (cmd, part) IN (SELECT cmd, part FROM spending WHERE at < $1 LIMIT $2)`
	selectSpaces   = `SELECT child, space FROM space_child ORDER BY child, space`
	insertSpace    = `INSERT INTO space_child (child, space) VALUES ($1, $2) ON CONFLICT DO NOTHING`
)

var insertSpending = newMulti(`INSERT INTO spending (cmd, part, room_id, actor, server, at) VALUES `, ` ON CONFLICT DO NOTHING`, "", "", "", "", "", "")

// longestQuota is how far back a quota may reach.
const longestQuota = 367 * 24 * time.Hour

// Spent implements invites.Store.
func (s Quotas) Spent(ctx context.Context, r id.RoomID, by invites.SpentBy, since time.Time) (invites.Spent, error) {
	var spent invites.Spent
	version := func(row scanner) (v int64, err error) {
		err = row.Scan(&v)
		return v, err
	}
	// The version first: what is spent after it makes a charge by it fail.
	var err error
	if spent.Version, err = one(ctx, &s.reads, version, selectQuota, in(r)); errors.Is(err, invites.ErrNotFound) {
		return spent, nil
	} else if err != nil {
		return spent, err
	}
	query, args := selectSpent, []any{in(r), ms(since)}
	switch {
	case by.Actor != "":
		query, args = selectSpentActor, append(args, in(by.Actor))
	case by.Server != "":
		query, args = selectSpentServer, append(args, in(by.Server))
	}
	spent.List, err = all(ctx, &s.reads, func(row scanner) (one invites.Spending, err error) {
		err = row.Scan(out(&one.Actor), out(&one.Server), moment{&one.At})
		return one, err
	}, query, args...)
	return spent, err
}

// charge spends for invitations that were recorded.
func charge(t *tx, charges []invites.Charge) error {
	for _, c := range charges {
		n, err := t.exec(updateQuota, in(c.Room), c.Version)
		if err == nil && n == 0 {
			err = invites.ErrSpent
		}
		if err != nil {
			return err
		}
		rows := make([][]any, len(c.For))
		for i := range c.For {
			k := keyOf(&c.For[i])
			rows[i] = []any{k.cmd, k.part, in(c.Room), in(c.For[i].Actor), in(c.Server), ms(c.At)}
		}
		if _, err := insertSpending.exec(t, rows); err != nil {
			return err
		}
	}
	return nil
}

// refund gives back what was spent for settled rows.
func refund(t *tx, settlements []invites.Settlement) error {
	for _, st := range settlements {
		if !st.Refund {
			continue
		}
		if _, err := t.exec(deleteSpent, st.ID); err != nil {
			return err
		}
	}
	return nil
}

// SpaceChildren returns which rooms spaces claim as their children, by child.
func (s Rooms) SpaceChildren(ctx context.Context) ([]invites.SpaceChild, error) {
	return all(ctx, &s.reads, func(row scanner) (c invites.SpaceChild, err error) {
		err = row.Scan(out(&c.Child), out(&c.Space))
		return c, err
	}, selectSpaces)
}

// SaveSpaceChildren remembers that spaces claim rooms as their children. Whether they still do is asked when it matters.
func (s Rooms) SaveSpaceChildren(ctx context.Context, children []invites.SpaceChild) error {
	if len(children) == 0 {
		return nil
	}
	return s.write.commit(ctx, plain, func(t *tx) error {
		for _, c := range children {
			if _, err := t.exec(insertSpace, in(c.Child), in(c.Space)); err != nil {
				return err
			}
		}
		return nil
	})
}
