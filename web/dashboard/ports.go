package dashboard

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/ledger"
	"usher/invites/links"
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
	// CountPending counts the open invitations of a room.
	CountPending(ctx context.Context, asker id.UserID, r id.RoomID) (int, error)
	// Pending returns the oldest open invitations, and the ones that wait to be sent, as far as the asker may know of them.
	Pending(ctx context.Context, asker id.UserID, r id.RoomID, limit int) (ledger.Open, error)
	// Past returns the invitations of a person, the newest first.
	Past(ctx context.Context, asker id.UserID, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error)
	// Tree returns the tree of a room, or the branch of a person.
	Tree(ctx context.Context, asker id.UserID, r id.RoomID, root id.UserID, limit int) (ledger.Tree, error)
	// Stats counts the invitations of the last weeks.
	Stats(ctx context.Context, asker id.UserID, r id.RoomID, now time.Time) (ledger.Stats, error)
	// Audit returns audit rows of a room, the newest first.
	Audit(ctx context.Context, asker id.UserID, q invites.AuditQuery, limit int) ([]invites.Audit, error)
	// Find returns invitations of a room, the newest first, and the place from which the next ones follow; zero: nothing is left.
	Find(ctx context.Context, asker id.UserID, q invites.LedgerQuery, limit int) ([]invites.Invitation, invites.Place, error)
}

// Cards has the questions about rooms.
type Cards interface {
	// Questions returns the open cards about a room that the asker may know of, and the ones found to stand no more.
	Questions(ctx context.Context, asker id.UserID, r id.RoomID) (open, closed []invites.Card, err error)
	// VoteNumber votes on the card with a number in the room that shows it; ErrNotFound where there is none.
	VoteNumber(ctx context.Context, shownIn id.RoomID, number int64, v invites.Vote) (cards.Ballot, error)
}

// Desk shows cards in rooms.
type Desk interface {
	// Show shows the result of a vote on its card, and carries it out.
	Show(ctx context.Context, b cards.Ballot) error
}

// Links has the invite links, each as far as the asker may know of it.
type Links interface {
	List(ctx context.Context, asker id.UserID, r id.RoomID) ([]invites.Link, error)
	State(ctx context.Context, l invites.Link) (links.State, error)
	Find(ctx context.Context, asker id.UserID, link int64) (l invites.Link, moderates []id.RoomID, err error)
	Uses(ctx context.Context, asker id.UserID, link int64, limit int) ([]invites.LinkUse, error)
	Revoke(ctx context.Context, asker id.UserID, link int64) (whole bool, err error)
}

// Health knows how Usher is doing.
type Health interface {
	State(ctx context.Context) (State, error)
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
