package store

import (
	"context"
	"fmt"
	"time"

	"usher/invites"
)

// selectWaiting returns the columns for the turns of open rows.
var selectWaiting = newMulti(`SELECT id, origin, action, room_id, target, actor, via,
		(SELECT COUNT(*) FROM (SELECT 1 FROM invitation o WHERE o.cmd = invitation.cmd LIMIT `+fmt.Sprint(invites.FewRows+1)+`) few)
	FROM invitation WHERE status = 'open' AND id IN (VALUES `, `)`, "BIGINT")

// Waiting returns the open rows among some rows, in any order.
func (s Changes) Waiting(ctx context.Context, rows []int64) (list []invites.Waiting, err error) {
	ids := make([][]any, len(rows))
	for i, row := range rows {
		ids[i] = []any{row}
	}
	fields := func(w *invites.Waiting) []any {
		return []any{&w.ID, &w.Origin, &w.Action, &w.Room, &w.Target, &w.Actor, &w.Via, &w.Size}
	}
	err = selectWaiting.each(&tx{maxRows: maxMulti}, ids, func(query string, args []any) error {
		return s.reads.query(ctx, appendTo(&list, fields), query, args...)
	})
	return list, err
}

// Due returns up to limit open rows without a lease and due at or before now, the oldest first, without the first skip of them.
func (s Changes) Due(ctx context.Context, now time.Time, skip, limit int) ([]int64, error) {
	return all(ctx, s.db, value[int64], selectDue, now, limit, skip)
}
