package store

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const selectLeased = `SELECT true FROM invitation WHERE part = $1 AND room_id = $2 AND target = $3 AND performer = $4 AND action = 'invite'
	AND status = 'open' AND leased_until <> 0 AND origin NOT IN ('native', 'address') LIMIT 1`

const selectAnnounced = `SELECT ` + changeColumns + ` FROM invitation WHERE part = $1 AND room_id = $2 AND target = $3 AND performer = $4 AND action = 'invite'
	AND status = 'open' AND leased_until > $5 AND origin = 'native' ORDER BY id DESC LIMIT 1`

// Announced returns the invitation that the homeserver was allowed to send for the actor's own client, until it is settled, or ErrNotFound.
func (s Changes) Announced(ctx context.Context, r id.RoomID, actor, target id.UserID, now time.Time) (invites.Change, error) {
	return one(ctx, s.db, changeFields, selectAnnounced, digest("invite", string(r), string(target)), r, target, actor, now)
}

// Leased reports whether an attempt at an invitation is under way, also by an earlier process. Invitations that the homeserver sends for
// the actor's own client are none.
func (s Changes) Leased(ctx context.Context, r id.RoomID, performer, target id.UserID) (bool, error) {
	_, err := one(ctx, s.db, value[bool], selectLeased, digest("invite", string(r), string(target)), r, target, performer)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
