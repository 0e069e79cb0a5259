package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	selectRoots = `SELECT g.inviter FROM (SELECT inviter, min(id) AS first FROM ledger WHERE room_id = $1 GROUP BY inviter) g
		WHERE NOT EXISTS (SELECT 1 FROM ledger p WHERE p.room_id = $1 AND p.target = g.inviter AND p.id < g.first)
		ORDER BY g.first LIMIT $2`

	// An entry counts where it is older than the first that its target made: who has invited somebody was there already.
	selectChildren = `SELECT ` + entryColumns + ` FROM ledger l WHERE room_id = $1 AND inviter = $2
			AND id < COALESCE((SELECT min(c.id) FROM ledger c WHERE c.room_id = $1 AND c.inviter = l.target), l.id + 1)
			AND NOT EXISTS (SELECT 1 FROM ledger n WHERE n.room_id = $1 AND n.target = l.target AND n.id > l.id
				AND n.id < COALESCE((SELECT min(c.id) FROM ledger c WHERE c.room_id = $1 AND c.inviter = l.target), n.id + 1))
		ORDER BY id LIMIT $3`

	// Weeks begin on Mondays; 1970 began on a Thursday.
	selectTallies = `SELECT (at - 345600000) / 604800000 AS week, inviter, fate, count(*) FROM ledger
		WHERE room_id = $1 AND at >= $2 GROUP BY (at - 345600000) / 604800000, inviter, fate ORDER BY week`
)

// Roots implements invites.Ledger.
func (s Ledger) Roots(ctx context.Context, r id.RoomID, limit int) ([]id.UserID, error) {
	return all(ctx, &s.reads, func(row scanner) (u id.UserID, err error) {
		err = row.Scan(out(&u))
		return u, err
	}, selectRoots, in(r), limit)
}

// Children implements invites.Ledger.
func (s Ledger) Children(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]invites.Invitation, error) {
	return all(ctx, &s.reads, scanEntry, selectChildren, in(r), in(inviter), limit)
}

// Tallies implements invites.Ledger.
func (s Ledger) Tallies(ctx context.Context, r id.RoomID, since time.Time) ([]invites.Tally, error) {
	return all(ctx, &s.reads, func(row scanner) (t invites.Tally, err error) {
		var week int64
		err = row.Scan(&week, out(&t.Inviter), out(&t.Fate), &t.Count)
		t.Week = time.UnixMilli(week*604800000 + 345600000).UTC()
		return t, err
	}, selectTallies, in(r), ms(since))
}
