package store

import (
	"context"

	"usher/invites"
)

// Bounds of the quarantine, which strangers can fill.
const (
	maxQuarantined = 1000     // rows, the newest
	maxRaw         = 64 << 10 // bytes of Raw
	maxFault       = 1 << 10  // bytes of Fault and of Transaction
)

const (
	selectQuarantined = `SELECT txn, raw, fault, received_at FROM quarantine ORDER BY id DESC LIMIT $1`
	trimQuarantine    = `DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - $1`
	deleteQuarantined = `DELETE FROM quarantine WHERE id IN
		(SELECT id FROM quarantine WHERE received_at < $1 ORDER BY received_at LIMIT $2)`
)

var insertQuarantine = newMulti(`INSERT INTO quarantine (txn, raw, fault, received_at) VALUES `, ``, make([]string, 4)...)

// Quarantine keeps undecodable events: the newest 1,000, each up to 64 KiB.
func (s Inbox) Quarantine(ctx context.Context, bad []invites.Undecodable) error {
	if len(bad) == 0 {
		return nil
	}
	bad = bad[max(0, len(bad)-maxQuarantined):]
	rows := make([][]any, len(bad))
	for i, b := range bad {
		rows[i] = []any{head(b.Transaction, maxFault), head(b.Raw, maxRaw), head(b.Fault, maxFault), b.ReceivedAt}
	}
	return s.write.commit(ctx, plain, func(t *tx) error {
		if _, err := insertQuarantine.exec(t, rows); err != nil {
			return err
		}
		_, err := t.exec(trimQuarantine, maxQuarantined)
		return err
	})
}

func quarantineFields(u *invites.Undecodable) []any {
	return []any{&u.Transaction, &u.Raw, &u.Fault, &u.ReceivedAt}
}

// head returns the first n bytes of s.
func head[T ~string | ~[]byte](s T, n int) T { return s[:min(len(s), n)] }

// Quarantined returns up to limit undecodable events, newest first.
func (s Inbox) Quarantined(ctx context.Context, limit int) ([]invites.Undecodable, error) {
	return all(ctx, s.db, quarantineFields, selectQuarantined, limit)
}
