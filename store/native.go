package store

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const selectLeased = `SELECT true FROM invitation WHERE part = $1 AND room_id = $2 AND target = $3 AND performer = $4 AND action = 'invite'
	AND status = 'open' AND leased_until <> 0 AND origin <> 'native' LIMIT 1`

// Leased reports whether an attempt at an invitation is under way, also by an earlier process. Invitations that the homeserver sends for
// the actor's own client are none.
func (s Changes) Leased(ctx context.Context, r id.RoomID, performer, target id.UserID) (bool, error) {
	_, err := one(ctx, s.db, value[bool], selectLeased, digest("invite", string(r), string(target)), r, target, performer)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
