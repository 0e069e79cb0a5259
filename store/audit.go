package store

import (
	"context"

	"usher/invites"
)

const (
	auditColumns = `at, kind, action, room_id, actor, performer, target, verdict, code, policy, command`

	selectAudit = `SELECT id, ` + auditColumns + ` FROM audit WHERE cmd = $1 AND command = $2 ORDER BY id`

	byUser          = `($2 = '' OR target = $2 OR actor = $2 OR performer = $2)`
	selectSince     = `SELECT id, ` + auditColumns + ` FROM audit WHERE at >= $1 AND ` + byUser + ` ORDER BY id`
	selectRoomSince = `SELECT id, ` + auditColumns + ` FROM audit
		WHERE room_id = $3 AND length(room_id) < 256 AND at >= $1 AND ` + byUser + ` ORDER BY at, id`
	selectRecent = `SELECT id, ` + auditColumns + ` FROM audit
		WHERE room_id = $1 AND length(room_id) < 256 AND at >= $2 AND at <= $4 AND (at < $4 OR id < $5) AND ($3 = '' OR target = $3 OR actor = $3 OR performer = $3)
		ORDER BY at DESC, id DESC LIMIT $6`
)

// appendAudit adds rows at the end of the commit. The decision of a request on one action, room and target is added once; decisions without a
// request each stand for themselves.
func appendAudit(t *tx, audit []invites.Audit) { t.audit = append(t.audit, audit...) }

// Audit returns the decisions and effects of one request, in the order they were written.
func (s AuditLog) Audit(ctx context.Context, request string) ([]invites.Audit, error) {
	return all(ctx, s.db, auditFields, selectAudit, digest(request), request)
}

// auditFields are the fields of a row: its id and auditColumns.
func auditFields(a *invites.Audit) []any {
	return []any{&a.ID, &a.At, &a.Kind, &a.Action, &a.Room, &a.Actor, &a.Performer, &a.Target, &a.Verdict, &a.Code, &a.Policy, &a.Request}
}

// RecentAudit returns up to limit audit rows of a room, the newest first.
func (s AuditLog) RecentAudit(ctx context.Context, q invites.AuditQuery, limit int) ([]invites.Audit, error) {
	if q.After.At.IsZero() {
		q.After.At = latest
	}
	return all(ctx, s.db, auditFields, selectRecent, q.Room, q.Since, q.User, q.After.At, q.After.ID, limit)
}

// eachAudit calls found for each row, the oldest first, until an error.
func (s AuditLog) eachAudit(ctx context.Context, q invites.AuditQuery, found func(invites.Audit) error) error {
	query, args := selectSince, []any{q.Since, q.User}
	if q.Room != "" {
		query, args = selectRoomSince, append(args, q.Room)
	}
	return s.reads.query(ctx, func(r row) error {
		var a invites.Audit
		if err := r.Scan(auditFields(&a)...); err != nil {
			return err
		}
		return found(a)
	}, query, args...)
}
