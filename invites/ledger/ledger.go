package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store with the invitations seen.
type Store interface {
	// Pending returns up to limit open invitations of a room, the oldest first, and how many there are.
	Pending(ctx context.Context, r id.RoomID, limit int) ([]invites.Invitation, int, error)
	// PendingOf returns the open invitation of a user in a room, or ErrNotFound.
	PendingOf(ctx context.Context, r id.RoomID, target id.UserID) (invites.Invitation, error)
	// PendingBy returns up to limit open invitations of a room by an inviter, the oldest first.
	PendingBy(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]invites.Invitation, error)
	// EntriesOf returns up to limit invitations of a user in a room, the newest first.
	EntriesOf(ctx context.Context, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error)
	// Entries returns up to limit invitations of a room, the newest first, among the next invitations of a bounded number, and the place
	// from which to go on; zero: nothing is left.
	Entries(ctx context.Context, q invites.LedgerQuery, limit int) ([]invites.Invitation, invites.Place, error)
	// Roots returns up to limit users who invited others in a room and had no invitation before, by their first invitation.
	Roots(ctx context.Context, r id.RoomID, limit int) ([]id.UserID, error)
	// Children returns up to limit invitations, the oldest first, of users in a room through an inviter: their newest
	// invitation before they invited anybody themselves is by the inviter. So nobody is their own ancestor.
	Children(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]invites.Invitation, error)
	// Tallies counts a room's invitations by week and fate, of the weeks from one to another.
	Tallies(ctx context.Context, r id.RoomID, first, last time.Time) ([]invites.Tally, error)
	// Busiest counts the invitations since a time by the up to limit inviters with the most, by fate, and returns how many inviters there are.
	Busiest(ctx context.Context, r id.RoomID, since time.Time, limit int) (list []invites.Tally, people int, err error)
	// RecentAudit returns up to limit audit rows of a room, the newest first.
	RecentAudit(ctx context.Context, q invites.AuditQuery, limit int) ([]invites.Audit, error)
	// UnsentIn returns up to limit invitations of a room that wait to be sent, the next first, without those that need approval first.
	UnsentIn(ctx context.Context, r id.RoomID, limit int) ([]invites.Change, error)
	// OpenCards returns open cards, by ID.
	OpenCards(ctx context.Context, q invites.CardQuery) ([]invites.Card, error)
}

// Ledger reads for askers. All fields are required.
type Ledger struct {
	Store    Store
	Judge    *judge.Judge
	Expiries *Expiries
	Reviews  *Reviews

	Addresses *Addresses
}

// CountPending counts the open invitations of a room.
func (s *Ledger) CountPending(ctx context.Context, asker id.UserID, r id.RoomID) (int, error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return 0, err
	}
	_, n, err := s.Store.Pending(ctx, r, 1)
	return n, err
}

// Open lists open invitations of a room.
type Open struct {
	Invitations []invites.Invitation // the oldest first
	Total       int
	Rule        invites.ExpiryRule // when they expire
	Unsent      []invites.Change   // invitations that wait to be sent, the next first
	Asked       []invites.Card     // the cards of invitations that wait for approval
	Listed      []id.UserID        // invited people whom a policy list bans by now

	Addresses []invites.AddressInvitation // the oldest first
	Addressed int                         // how many addresses are invited
}

// mostUnsent is how many waiting invitations of a room are read.
const mostUnsent = 5000

// unsent returns the invitations of a room that wait to be sent or to be approved: all of them for an asker with the power to kick, else the
// asker's own.
func (s *Ledger) unsent(ctx context.Context, asker id.UserID, r id.RoomID) (rows []invites.Change, asked []invites.Card, err error) {
	if rows, err = s.Store.UnsentIn(ctx, r, mostUnsent); err != nil {
		return nil, nil, err
	}
	if asked, err = s.Store.OpenCards(ctx, invites.CardQuery{Kind: invites.CardApproval, Room: r}); err != nil || len(rows)+len(asked) == 0 {
		return nil, nil, err
	}
	err = s.Judge.Reach.MayKick(ctx, r, asker)
	if errors.Is(err, judge.ErrKickPower) {
		rows = slices.DeleteFunc(rows, func(row invites.Change) bool { return row.Actor != asker })
		asked = slices.DeleteFunc(asked, func(c invites.Card) bool { return c.Actor != asker })
		err = nil
	}
	return rows, asked, err
}

// Pending returns up to limit open invitations of a room, and the invitations that wait to be sent, as far as the asker may know of them.
func (s *Ledger) Pending(ctx context.Context, asker id.UserID, r id.RoomID, limit int) (open Open, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return Open{}, err
	}
	if open.Invitations, open.Total, err = s.Store.Pending(ctx, r, limit); err != nil {
		return Open{}, err
	}
	if open.Addresses, open.Addressed, err = s.Addresses.Store.Addresses(ctx, r, limit); err != nil {
		return Open{}, err
	}
	if open.Unsent, open.Asked, err = s.unsent(ctx, asker, r); err != nil {
		return Open{}, err
	}
	targets := make([]id.UserID, len(open.Invitations))
	for i, e := range open.Invitations {
		targets[i] = e.Target
	}
	if open.Listed, err = s.Listed(ctx, asker, r, targets...); err != nil {
		return Open{}, err
	}
	open.Rule, err = s.Expiries.Rule(ctx, r)
	return open, err
}

// Listed returns the users among some whom the policy lists of a room ban, as Reviews finds them. Lists that can't be read ban nobody here.
func (s *Ledger) Listed(ctx context.Context, asker id.UserID, r id.RoomID, users ...id.UserID) (listed []id.UserID, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, err
	}
	p, err := s.Judge.Policies.Of(ctx, r, s.Expiries.Self.Bot)
	if err != nil || p == nil || p.Fault() != nil || len(p.Document.Whom.Lists) == 0 {
		return nil, invites.UnlessUnseen(err)
	}
	if unread, err := s.Judge.Lists.Unreadable(ctx, p.Document.Whom.Lists); err != nil || unread != "" {
		return nil, err
	}
	for _, user := range users {
		is, err := s.Judge.Listed(ctx, p, user)
		if err != nil {
			return nil, err
		}
		if is {
			listed = append(listed, user)
		}
	}
	return listed, nil
}

// Past returns up to limit invitations of a user in a room, the newest first.
func (s *Ledger) Past(ctx context.Context, asker id.UserID, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, err
	}
	return s.Store.EntriesOf(ctx, r, target, limit)
}

// Find returns up to limit invitations of a room, the newest first, and the place from which the next ones follow; zero: nothing is left. The
// work is bounded, so it may find few or none before that place although more follow.
func (s *Ledger) Find(ctx context.Context, asker id.UserID, q invites.LedgerQuery, limit int) ([]invites.Invitation, invites.Place, error) {
	if err := s.Judge.Reach.Member(ctx, q.Room, asker); err != nil {
		return nil, invites.Place{}, err
	}
	return s.Store.Entries(ctx, q, limit)
}

// MayAudit returns nil for an asker who may read the audit of a room, else ErrKickPower.
func (s *Ledger) MayAudit(ctx context.Context, asker id.UserID, r id.RoomID) error {
	return s.Judge.Reach.MayKick(ctx, r, asker)
}

// Audit returns up to limit audit rows of a room, the newest first, for an asker with the power to kick.
func (s *Ledger) Audit(ctx context.Context, asker id.UserID, q invites.AuditQuery, limit int) ([]invites.Audit, error) {
	if err := s.Judge.Reach.MayKick(ctx, q.Room, asker); err != nil {
		return nil, err
	}
	return s.Store.RecentAudit(ctx, q, limit)
}

// ownAudit is how many of a user's last audit rows are looked through for an action of theirs.
const ownAudit = 100

// LastOf returns the last thing that a user in a room did there and may want to undo: an invitation that was not refused, or a change of the
// policy, which has the action change in the audit.
func (s *Ledger) LastOf(ctx context.Context, asker id.UserID, r id.RoomID, change room.ActionType) (last invites.Audit, found bool, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return last, false, err
	}
	rows, err := s.Store.RecentAudit(ctx, invites.AuditQuery{Room: r, User: asker}, ownAudit)
	for _, row := range rows {
		invited := row.Action == room.Invite && row.Kind == invites.AuditDecision && (row.Verdict == room.Allow.String() || row.Code == string(policy.CodeApproval))
		if row.Actor == asker && (invited || row.Action == change && row.Verdict == string(invites.StatusDone)) {
			return row, true, nil
		}
	}
	return last, false, err
}
