package dashboard

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/sessions"
	"usher/policy"
)

// Sessions logs people in.
type Sessions interface {
	// Offers returns the person whom a login would log in, or ErrNotFound.
	Offers(ctx context.Context, login sessions.Secret) (id.UserID, error)
	// Enter trades a login for a session, once.
	Enter(ctx context.Context, login sessions.Secret) (sessions.Secret, invites.Session, error)
	// Find returns the session of a secret, or ErrNotFound.
	Find(ctx context.Context, secret sessions.Secret) (invites.Session, error)
	// Leave ends one session.
	Leave(ctx context.Context, secret sessions.Secret) error
}

// Ledger reads about invitations, each time for an asker.
type Ledger interface {
	// MayAudit returns nil for an asker who may read the audit of a room.
	MayAudit(ctx context.Context, asker id.UserID, r id.RoomID) error
	// Find returns invitations of a room, the newest first, and the place from which the next ones follow; zero: nothing is left.
	Find(ctx context.Context, asker id.UserID, q invites.LedgerQuery, limit int) ([]invites.Invitation, invites.Place, error)
}

// Rooms knows the rooms of the bot.
type Rooms interface {
	// All returns them in an order that stays.
	All(ctx context.Context) ([]id.RoomID, error)
}

// Policies reads policies.
type Policies interface {
	// Of returns the policy in force for a room as a viewer sees it; nil: there is none.
	Of(ctx context.Context, r id.RoomID, viewer id.UserID) (*policy.InForce, error)
}

// Names names rooms.
type Names interface {
	// Name returns the name of a room as far as a user may read it, or "".
	Name(ctx context.Context, r id.RoomID, user id.UserID) string
}
