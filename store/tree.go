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

	// Weeks begin on Mondays; 1970 began on a Thursday.
	selectTallies = `SELECT (at - 345600000) / 604800000 * 604800000 + 345600000 AS week, inviter, fate, count(*) FROM ledger
		WHERE room_id = $1 AND at >= $2 GROUP BY week, inviter, fate ORDER BY week`
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

// Tallies counts a room's entries since a time.
func (s Ledger) Tallies(ctx context.Context, r id.RoomID, since time.Time) ([]invites.Tally, error) {
	fields := func(t *invites.Tally) []any { return []any{&t.Week, &t.Inviter, &t.Fate, &t.Count} }
	return all(ctx, s.db, fields, selectTallies, r, since)
}
