package store

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	auditColumns = `at, kind, action, room_id, actor, performer, target, verdict, code, policy, command`

	selectAudit = `SELECT id, ` + auditColumns + ` FROM audit WHERE cmd = $1 AND command = $2 ORDER BY id`
)

var insertAudit = newMulti(`INSERT INTO audit (cmd, part, `+auditColumns+`) VALUES `, ` ON CONFLICT DO NOTHING`,
	make([]string, 13)...)

// appendAudit adds rows. A command's decision on one action, room and target is added once; decisions without a
// command each stand for themselves.
func appendAudit(t *tx, audit []invites.Audit) error {
	rows := make([][]any, len(audit))
	for i, a := range audit {
		var part any
		if a.Kind == "decision" && a.Command != "" {
			part = digest(string(a.Action), string(a.Room), string(a.Target))
		}
		rows[i] = []any{digest(string(a.Command)), part, ms(a.At), in(a.Kind), in(a.Action), in(a.Room), in(a.Actor), in(a.Performer), in(a.Target),
			in(a.Verdict), in(a.Code), in(a.Policy), in(a.Command)}
	}
	_, err := insertAudit.exec(t, rows)
	return err
}

// Audit returns the decisions and effects of one command, in the order they were written.
func (s *Store) Audit(ctx context.Context, command id.EventID) ([]invites.Audit, error) {
	return all(ctx, &s.reads, func(row scanner) (a invites.Audit, err error) {
		err = row.Scan(&a.ID, moment{&a.At}, out(&a.Kind), out(&a.Action), out(&a.Room), out(&a.Actor), out(&a.Performer),
			out(&a.Target), out(&a.Verdict), out(&a.Code), out(&a.Policy), out(&a.Command))
		return a, err
	}, selectAudit, digest(string(command)), in(command))
}
