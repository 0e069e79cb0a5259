package store

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	selectInbound = `SELECT until_at FROM inbound WHERE kind = $1 AND who = $2 AND other = $3`
	upsertInbound = `INSERT INTO inbound (kind, who, other, until_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, who, other) DO UPDATE SET until_at = excluded.until_at`
	selectInboundAfter = `SELECT who, other, until_at FROM inbound WHERE kind = $1 AND until_at > $4 AND (who > $2 OR who = $2 AND other > $3) ORDER BY who, other LIMIT $5`
	deleteInboundEntry = `DELETE FROM inbound WHERE kind = $1 AND who = $2 AND other = $3`
	selectBlocked      = `SELECT who FROM inbound WHERE kind = $1 AND until_at > $2 ORDER BY who LIMIT $3`
	deleteInbound      = `DELETE FROM inbound WHERE (kind, who, other) IN (SELECT kind, who, other FROM inbound WHERE until_at < $1 LIMIT $2)`
	// One user was invited and came, the other one came, too, or invited somebody there.
	selectSharing = `SELECT true FROM ledger a WHERE a.target = $1 AND length(a.target) < 256 AND a.fate = 'accepted' AND (
			EXISTS (SELECT 1 FROM ledger b WHERE b.room_id = a.room_id AND b.target = $2 AND b.fate = 'accepted')
			OR EXISTS (SELECT 1 FROM ledger b WHERE b.room_id = a.room_id AND b.inviter = $2)) LIMIT 1`
)

// InboundUntil returns the end of an entry, or ErrNotFound.
func (s Inbound) InboundUntil(ctx context.Context, kind invites.InboundKind, who, other string) (time.Time, error) {
	return one(ctx, s.db, value[time.Time], selectInbound, kind, who, other)
}

// SaveInbound adds an entry, or replaces its end.
func (s Inbound) SaveInbound(ctx context.Context, kind invites.InboundKind, who, other string, until time.Time) error {
	_, err := s.change(ctx, upsertInbound, kind, who, other, until)
	return err
}

// InboundOf lists up to limit entries of a kind that have not ended, by name.
func (s Inbound) InboundOf(ctx context.Context, kind invites.InboundKind, now time.Time, limit int) ([]string, error) {
	return all(ctx, s.db, value[string], selectBlocked, kind, now, limit)
}

// InboundAfter returns up to limit entries of a kind that have not ended, from behind one on, in order.
func (s Inbound) InboundAfter(ctx context.Context, kind invites.InboundKind, behind invites.InboundEntry, now time.Time, limit int) ([]invites.InboundEntry, error) {
	fields := func(e *invites.InboundEntry) []any { return []any{&e.Who, &e.Other, &e.Until} }
	return all(ctx, s.db, fields, selectInboundAfter, kind, behind.Who, behind.Other, now, limit)
}

// DropInbound deletes an entry.
func (s Inbound) DropInbound(ctx context.Context, kind invites.InboundKind, who, other string) error {
	_, err := s.change(ctx, deleteInboundEntry, kind, who, other)
	return err
}

// Sharing reports whether two users were in one room, by the ledger: one was invited and came, and the other came, too, or invited somebody.
func (s Inbound) Sharing(ctx context.Context, a, b id.UserID) (bool, error) {
	for _, pair := range [][2]id.UserID{{a, b}, {b, a}} {
		_, err := one(ctx, s.db, value[bool], selectSharing, pair[0], pair[1])
		if err == nil || !errors.Is(err, invites.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// CleanInbound deletes ended entries.
func (s Inbound) CleanInbound(ctx context.Context, before time.Time) error {
	return s.deleteAll(ctx, deleteInbound, before)
}
