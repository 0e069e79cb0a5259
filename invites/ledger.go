package invites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// MemberEvent is what an m.room.member event says, as far as the ledger needs it.
type MemberEvent struct {
	Event      id.EventID
	Room       id.RoomID
	Target     id.UserID // whose membership it is
	Sender     id.UserID
	Membership string    // "invite", "join", "leave" or "ban"
	ThirdParty bool      // an invitation by e-mail or telephone number that was claimed
	SentAt     time.Time // origin_server_ts
	SeenAt     time.Time // by our own clock
}

// Way says how an invitation came about.
type Way string

// The ways.
const (
	WayBot        Way = "bot"         // through a command, sent by the bot
	WayActor      Way = "actor"       // through a command, sent as the one who asked
	WayHand       Way = "hand"        // past the bot
	WayThirdParty Way = "third_party" // by e-mail or telephone number
)

// Fate says what became of an invitation.
type Fate string

// The fates.
const (
	FatePending   Fate = "pending"
	FateAccepted  Fate = "accepted"
	FateDeclined  Fate = "declined"
	FateWithdrawn Fate = "withdrawn"
	FateExpired   Fate = "expired" // withdrawn by the bot, as the room's policy says
	FateBanned    Fate = "banned"
	FateRenewed   Fate = "renewed" // somebody invited them again meanwhile: a later entry goes on
	FateUnseen    Fate = "unseen"  // it ended while the bot was not in the room
)

// Invitation is one invitation seen in a room where the bot is, made through it or not.
type Invitation struct {
	ID       int64
	Event    id.EventID // the invitation
	Room     id.RoomID
	Target   id.UserID
	Sender   id.UserID // of the event
	Inviter  id.UserID // who wanted it: the one who asked the bot for it, else the sender
	Way      Way
	Command  id.EventID // empty: none
	At       time.Time  // when it was sent; never later than when it was seen
	Fate     Fate
	EndedAt  time.Time  // zero while pending
	EndedBy  id.UserID  // who wanted the end: the invitee, or who withdrew or banned
	Ending   id.EventID // the event that ended it; empty while pending, and when it was not seen
	Reminded bool       // the inviter was reminded of it
}

// Ledger is the part of Store that remembers invitations. Store.Receive feeds it.
type Ledger interface {
	// Complete brings the pending entries of a room into line with the invitations that its state shows: those not seen before
	// are added, and those seen before asked that are there no more end as FateUnseen. None at all stands for a room that the
	// bot left.
	Complete(ctx context.Context, r id.RoomID, invited []MemberEvent, asked time.Time) error
	// EachPending calls found for every pending entry there is.
	EachPending(ctx context.Context, found func(id.RoomID, id.UserID)) error
	// Pending returns up to limit pending entries of a room, the oldest first, and how many there are.
	Pending(ctx context.Context, r id.RoomID, limit int) ([]Invitation, int, error)
	// PendingOf returns the pending entry of a user in a room, or ErrNotFound.
	PendingOf(ctx context.Context, r id.RoomID, target id.UserID) (Invitation, error)
	// PendingBy returns up to limit pending entries of a room by an inviter, the oldest first.
	PendingBy(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]Invitation, error)
	// EntriesOf returns up to limit entries of a user in a room, the newest first.
	EntriesOf(ctx context.Context, r id.RoomID, target id.UserID, limit int) ([]Invitation, error)
	// Roots returns up to limit people who invited others in a room and were not invited before that, by their first invitation.
	Roots(ctx context.Context, r id.RoomID, limit int) ([]id.UserID, error)
	// Children returns up to limit entries, the oldest first, of people who are in a room through an inviter: those whose newest
	// entry, of those before they invited anybody themselves, is by the inviter. So nobody is their own ancestor.
	Children(ctx context.Context, r id.RoomID, inviter id.UserID, limit int) ([]Invitation, error)
	// Tallies counts a room's entries since a time.
	Tallies(ctx context.Context, r id.RoomID, since time.Time) ([]Tally, error)
	// RecentAudit returns up to limit audit rows of a room, the newest first.
	RecentAudit(ctx context.Context, q AuditQuery, limit int) ([]Audit, error)
	Expiries
}

// Tally is how many entries of a week an inviter has with a fate.
type Tally struct {
	Week    time.Time // the Monday that it begins with, UTC
	Inviter id.UserID
	Fate    Fate
	Count   int
}

// AuditQuery says which audit rows are asked for.
type AuditQuery struct {
	Room  id.RoomID
	User  id.UserID // as actor, performer or target; empty: anybody
	Since time.Time // zero: all
}

// Expiries is the part of Ledger that knows when open invitations are due to expire.
type Expiries interface {
	// Unchecked returns up to limit rooms with pending entries whose rule was last set before a time, or never.
	Unchecked(ctx context.Context, before time.Time, limit int) ([]id.RoomID, error)
	// SetExpiry keeps a room's rule.
	SetExpiry(ctx context.Context, r id.RoomID, rule ExpiryRule, now time.Time) error
	// ForgetExpiries makes all rules unchecked; they stay in force until they are set anew.
	ForgetExpiries(ctx context.Context) error
	// Overdue returns up to limit pending entries that should have expired by now, but for those tried after a time.
	Overdue(ctx context.Context, now, tried time.Time, limit int) ([]Invitation, error)
	// ToRemind returns up to limit pending entries of whose expiry their inviters should be reminded by now, and were not.
	ToRemind(ctx context.Context, now time.Time, limit int) ([]Invitation, error)
	// Reminded marks entries as reminded of.
	Reminded(ctx context.Context, entries ...int64) error
	// Tried marks entries as tried at a time.
	Tried(ctx context.Context, at time.Time, entries ...int64) error
}

// seen reports whether the ledger knows an invitation that came of a row.
func (s *Service) seen(ctx context.Context, inv Change) (bool, error) {
	if inv.Action != room.Invite {
		return false, nil
	}
	entries, err := s.Store.EntriesOf(ctx, inv.Room, inv.Target, newest)
	return slices.ContainsFunc(entries, func(e Invitation) bool { return e.Command == inv.Command }), err
}

// MayKick reports whether somebody's power in a room suffices to kick people who have none.
func (s *Service) MayKick(ctx context.Context, r id.RoomID, user id.UserID) (bool, error) {
	kick := kickAnybody(user)
	snap, err := s.Homeserver.Snapshot(ctx, r, user, room.Needs(kick), false)
	if errors.Is(err, ErrNoView) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the room's state: %w", err)
	}
	return room.Authorize(snap, kick).Verdict == room.Allow, nil
}

// kickAnybody is the kick of somebody who is surely not there: what decides is the sender's own standing.
func kickAnybody(sender id.UserID) room.Action {
	return room.Action{Type: room.Kick, Sender: sender, Target: id.NewUserID("nobody", "invalid")}
}
