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

	// An entry counts if it is older than the first entry made by its target: a user with invitations of others was a member already.
	selectChildren = `SELECT ` + entryColumns + ` FROM ledger l WHERE room_id = $1 AND inviter = $2
			AND id < COALESCE((SELECT min(c.id) FROM ledger c WHERE c.room_id = $1 AND c.inviter = l.target), l.id + 1)
			AND NOT EXISTS (SELECT 1 FROM ledger n WHERE n.room_id = $1 AND n.target = l.target AND n.id > l.id
				AND n.id < COALESCE((SELECT min(c.id) FROM ledger c WHERE c.room_id = $1 AND c.inviter = l.target), n.id + 1))
		ORDER BY id LIMIT $3`

	// Each count is of a part of an index. Grouping the rows of all weeks would sort them.
	selectTallies = `WITH RECURSIVE week(at) AS (SELECT CAST($2 AS BIGINT) UNION ALL SELECT at + 604800000 FROM week WHERE at < $3),
			fates(fate) AS (VALUES ('pending'), ('accepted'), ('declined'), ('withdrawn'), ('expired'), ('banned'), ('renewed'), ('unseen'))
		SELECT week.at, fates.fate, (SELECT count(*) FROM ledger l WHERE l.room_id = $1 AND l.fate = fates.fate AND l.at >= week.at AND l.at < week.at + 604800000)
		FROM week CROSS JOIN fates ORDER BY week.at, fates.fate`
	selectBusiest = `WITH top AS (SELECT inviter, count(*) AS sent, count(*) OVER () AS people FROM ledger WHERE room_id = $1 AND at >= $2 AND fate <> 'renewed'
			GROUP BY inviter ORDER BY sent DESC, inviter LIMIT $3)
		SELECT top.inviter, top.people, l.fate, count(*) FROM top JOIN ledger l ON l.room_id = $1 AND l.inviter = top.inviter AND l.at >= $2
		GROUP BY top.inviter, top.people, l.fate`
)

// Roots returns up to limit users who invited others in a room and had no invitation before, by their first invitation.
func (s Ledger) Roots(ctx context.Context, r id.RoomID, limit int) ([]id.UserID, error) {
	return all(ctx, s.db, value[id.UserID], selectRoots, r, limit)
}

// Children returns up to limit invitations, the oldest first, of users in a room through an inviter: their newest
// invitation before they invited anybody themselves is by the inviter. So nobody is their own ancestor.
func (s Ledger) Children(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]invites.Invitation, error) {
	return all(ctx, s.db, entryFields, selectChildren, r, inviter, limit)
}

// Tallies counts a room's entries by week and fate, of the weeks from one to another.
func (s Ledger) Tallies(ctx context.Context, r id.RoomID, first, last time.Time) ([]invites.Tally, error) {
	fields := func(t *invites.Tally) []any { return []any{&t.Week, &t.Fate, &t.Count} }
	return all(ctx, s.db, fields, selectTallies, r, first, last)
}

// Busiest counts the entries since a time by the up to limit inviters with the most, by fate, and returns how many inviters there are.
func (s Ledger) Busiest(ctx context.Context, r id.RoomID, since time.Time, limit int) (list []invites.Tally, people int, err error) {
	fields := func(t *invites.Tally) []any { return []any{&t.Inviter, &people, &t.Fate, &t.Count} }
	list, err = all(ctx, s.db, fields, selectBusiest, r, since, limit)
	return list, people, err
}
