package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"
)

// StrayKind is a kind of rows in the library's tables of keys.
type StrayKind string

// Kinds of rows caused by users, who may share no room with the bot.
const (
	StrayKey      StrayKind = "key"      // a Megolm key, by the session's id
	StrayOlm      StrayKind = "olm"      // an Olm session, by its id
	StrayWithheld StrayKind = "withheld" // a notice of a withheld Megolm key, by the session's id
)

// Stray is a row in the library's tables of keys, kept for a time and up to a number.
type Stray struct {
	Kind       StrayKind
	ID         id.SessionID
	Sender     id.UserID
	ReceivedAt time.Time
}

// StrayLimits is the number of rows of one kind kept of one sender, of one server, and in all.
type StrayLimits struct{ Sender, Server, All int }

// SaveStray records a row, and deletes the oldest rows beyond the limits.
func (k *Keys) SaveStray(ctx context.Context, s Stray, limits StrayLimits) error {
	return k.Transaction(ctx, func(ctx context.Context) error {
		_, err := k.DB.Exec(ctx, `INSERT INTO usher_stray (kind, object, sender, server, received_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (kind, object) DO NOTHING`,
			string(s.Kind), encode(s.ID), encode(s.Sender), encode(s.Sender.Homeserver()), s.ReceivedAt.UnixMilli())
		if err != nil {
			return err
		}
		const newest = ` ORDER BY received_at DESC, object LIMIT 1000 OFFSET $3`
		if err := k.dropStrays(ctx, s.Kind, `sender = $2`+newest, encode(s.Sender), limits.Sender); err != nil {
			return err
		}
		if err := k.dropStrays(ctx, s.Kind, `server = $2`+newest, encode(s.Sender.Homeserver()), limits.Server); err != nil {
			return err
		}
		return k.dropStrays(ctx, s.Kind, `received_at >= $2`+newest, 0, limits.All)
	})
}

// DropStrays deletes the rows of a kind received before a time. Keys and Olm sessions of users with devices which the bot has
// fetched stay for good.
func (k *Keys) DropStrays(ctx context.Context, kind StrayKind, before time.Time) error {
	return k.Transaction(ctx, func(ctx context.Context) error {
		_, err := k.DB.Exec(ctx, `DELETE FROM usher_stray WHERE kind <> $1 AND sender IN (SELECT user_id FROM crypto_tracked_user)`, string(StrayWithheld))
		if err != nil {
			return err
		}
		return k.dropStrays(ctx, kind, `received_at < $2`, before.UnixMilli())
	})
}

// dropStrays deletes the rows of a kind selected by a condition on usher_stray.
func (k *Keys) dropStrays(ctx context.Context, kind StrayKind, condition string, args ...any) error {
	chosen := `(SELECT object FROM usher_stray WHERE kind = $1 AND ` + condition + `)`
	args = append([]any{string(kind)}, args...)
	var query string
	switch kind {
	case StrayKey:
		query = `DELETE FROM crypto_megolm_inbound_session WHERE session IS NOT NULL AND session_id IN ` + chosen
	case StrayOlm:
		query = `DELETE FROM crypto_olm_session WHERE session_id IN ` + chosen
	case StrayWithheld:
		query = `DELETE FROM crypto_megolm_inbound_session WHERE session IS NULL AND session_id IN ` + chosen
	}
	if _, err := k.DB.Exec(ctx, query, args...); err != nil {
		return err
	}
	_, err := k.DB.Exec(ctx, `DELETE FROM usher_stray WHERE kind = $1 AND object IN `+chosen, args...)
	return err
}

// KeepStrays has the keys and Olm sessions of a user stay for good.
func (k *Keys) KeepStrays(ctx context.Context, user id.UserID) error {
	_, err := k.DB.Exec(ctx, `DELETE FROM usher_stray WHERE sender = $1 AND kind <> $2`, encode(user), string(StrayWithheld))
	return err
}
