package store

import (
	"context"
	"slices"
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
)

var insertSpending = newMulti(`INSERT INTO spending (cmd, part, room_id, actor, server, at) VALUES `, ` ON CONFLICT DO NOTHING`, "", "", "", "", "", "")

// longestQuota is the longest time counted by a quota.
const longestQuota = 367 * 24 * time.Hour

// Spent returns the invitations counted in a room after a time. A letter counts as long as its link waits to be used; then the invitation does.
func (s Quotas) Spent(ctx context.Context, r id.RoomID, by invites.SpentBy, since time.Time) (invites.Spent, error) {
	var spent invites.Spent
	// The version is read first: a charge with it fails if anything is spent in between.
	var err error
	if spent.Version, err = one(ctx, s.db, value[int64], selectQuota, r); invites.UnlessNone(err) != nil {
		return spent, err
	}
	query, args := selectSpent, []any{r, since}
	switch {
	case by.Actor != "":
		query, args = selectSpentActor, append(args, by.Actor)
	case by.Server != "":
		query, args = selectSpentServer, append(args, by.Server)
	}
	fields := func(one *invites.Spending) []any { return []any{&one.Actor, &one.Server, &one.At} }
	if spent.List, err = all(ctx, s.db, fields, query, args...); err != nil {
		return spent, err
	}
	letters, err := all(ctx, s.db, fields, selectLetterSpent, digest(string(r)), since)
	if err != nil || len(letters) == 0 {
		return spent, err
	}
	for _, one := range letters {
		if (by.Actor == "" || by.Actor == one.Actor) && (by.Server == "" || by.Server == one.Server) {
			spent.List = append(spent.List, one)
		}
	}
	slices.SortStableFunc(spent.List, func(a, b invites.Spending) int { return a.At.Compare(b.At) })
	return spent, nil
}

// charge records the spending for recorded rows.
func charge(t *tx, charges []invites.Charge) error {
	for _, c := range charges {
		n, err := t.exec(updateQuota, c.Room, c.Version)
		if err == nil && n == 0 {
			err = invites.ErrSpent
		}
		if err != nil {
			return err
		}
		rows := make([][]any, len(c.For))
		for i := range c.For {
			k := keyOf(&c.For[i])
			rows[i] = []any{k.cmd, k.part, c.Room, c.For[i].Actor, c.Server, c.At}
		}
		if _, err := insertSpending.exec(t, rows); err != nil {
			return err
		}
	}
	return nil
}

// refund deletes the spending of settled rows with Refund.
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
