package moves

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/room"
)

// MoverStore is the part of the store with the moves of people.
type MoverStore interface {
	// AddMove adds the move of a command, unless it has one.
	AddMove(ctx context.Context, m invites.Move) error
	// SaveMove keeps when a move is looked at next, and whether people were reminded. DropMove forgets one.
	SaveMove(ctx context.Context, m invites.Move) error
	DropMove(ctx context.Context, move int64) error
	// MovesInto returns up to limit moves into a room, the newest first. MovesDue returns those to be looked at, the longest due first.
	MovesInto(ctx context.Context, r id.RoomID, limit int) ([]invites.Move, error)
	MovesDue(ctx context.Context, now time.Time, limit int) ([]invites.Move, error)
	// CountMoved counts the people of a move by what became of their invitation.
	CountMoved(ctx context.Context, command id.EventID) ([]invites.MoveCount, error)
	// NotCome returns the people of a move whose invitation is open, in the order of the invitations.
	NotCome(ctx context.Context, command id.EventID) ([]id.UserID, error)
}

// Activity knows the people of rooms. Errors are *ActError.
type Activity interface {
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Members returns the users with a membership in a room, as the bot sees it.
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
	// Speakers returns the users among some who spoke in a room, the last one first, as far as a viewer sees its history and a bounded look goes.
	Speakers(ctx context.Context, r id.RoomID, viewer id.UserID, among []id.UserID) ([]id.UserID, error)
	// Joins returns the dates of the member events of the users in a room, as far as they can be read.
	Joins(ctx context.Context, r id.RoomID) (map[id.UserID]time.Time, error)
}

// Movers are the use cases for the people of a room who are invited to another one: their order, how many came, and a reminder. Their invitations are a
// request for many people, as of requests.Bulk. All fields are required.
type Movers struct {
	Store    MoverStore
	Rooms    Activity
	Clock    invites.Clock
	Self     invites.Identity
	Judge    *judge.Judge
	Requests requests.Bulk
}

// Bounds of moves.
const (
	RemindAfter = 3 * 24 * time.Hour  // where the asker does not say
	MaxRemind   = 30 * 24 * time.Hour // so long after the invitations, people may be reminded
	proposedFor = 24 * time.Hour      // a move that nobody confirmed is forgotten
	movesTold   = 5                   // of one room
	lookPause   = 10 * time.Minute    // between two looks at a move, at most
	sendPause   = time.Minute         // until a reminder is tried again
)

// Order sorts the members of a room for an asker who is in it: those who spoke last go first, the others follow by the dates of their member events. It
// returns how many are known to have spoken.
func (s *Movers) Order(ctx context.Context, old id.RoomID, asker id.UserID, users []id.UserID) (spoke int, err error) {
	last, err := s.Rooms.Speakers(ctx, old, asker, users)
	if err != nil {
		return 0, err
	}
	joins, err := s.Rooms.Joins(ctx, old)
	if err != nil {
		return 0, err
	}
	rank := make(map[id.UserID]int, len(last))
	for i, user := range last {
		rank[user] = i - len(last)
	}
	slices.SortStableFunc(users, func(a, b id.UserID) int {
		if by := rank[a] - rank[b]; by != 0 {
			return by
		}
		return joins[b].Compare(joins[a])
	})
	return len(last), nil
}

// Propose keeps the move of a command whose confirmation is about to be asked for.
func (s *Movers) Propose(ctx context.Context, m invites.Move) error {
	m.CreatedAt = s.Clock.Now()
	m.DueAt = m.CreatedAt.Add(proposedFor)
	if m.Remind > 0 {
		m.DueAt = m.CreatedAt.Add(min(m.Remind, proposedFor))
	}
	return s.Store.AddMove(ctx, m)
}

// Moved is how a move stands.
type Moved struct {
	invites.Move
	All      int
	Came     int // after the invitation
	Here     int // before it
	Open     int // invited, and not here
	Declined int
	Gone     int // the invitation was withdrawn, or ended unseen
	Waiting  int // to be sent, or for approval
	Stopped  int
	Refused  int
}

// Into returns how the last confirmed moves into a room stand, the newest first: an asker's own, and all of them for an asker with the power to kick. The
// error is ErrKickPower where there are only others.
func (s *Movers) Into(ctx context.Context, r id.RoomID, asker id.UserID) (list []Moved, err error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, err
	}
	moves, err := s.Store.MovesInto(ctx, r, movesTold)
	if err != nil || len(moves) == 0 {
		return nil, err
	}
	all := s.Judge.Reach.MayKick(ctx, r, asker)
	if all != nil && !errors.Is(all, judge.ErrKickPower) {
		return nil, all
	}
	hidden := false
	for _, m := range moves {
		if m.Actor != asker && all != nil {
			hidden = true
			continue
		}
		counts, err := s.Store.CountMoved(ctx, m.Command)
		if err != nil {
			return nil, err
		}
		if len(counts) > 0 {
			list = append(list, count(m, counts))
		}
	}
	if len(list) == 0 && hidden {
		return nil, judge.ErrKickPower
	}
	return list, nil
}

// count adds up how a move stands.
func count(m invites.Move, counts []invites.MoveCount) Moved {
	n := Moved{Move: m}
	for _, c := range counts {
		n.All += c.N
		switch {
		case c.Code == string(room.RuleInviteTargetJoined):
			n.Here += c.N
		case c.Status == invites.StatusOpen, c.Status == invites.StatusWaiting:
			n.Waiting += c.N
		case c.Status == invites.StatusCancelled:
			n.Stopped += c.N
		case c.Status != invites.StatusDone:
			n.Refused += c.N
		case c.Fate == invites.FateAccepted:
			n.Came += c.N
		case c.Fate == invites.FateDeclined:
			n.Declined += c.N
		case c.Fate == invites.FatePending, c.Fate == "":
			n.Open += c.N
		default:
			n.Gone += c.N
		}
	}
	return n
}

// Stop ends the moves into a room that an asker may steer: the rest is not sent, and nobody is reminded. It returns how many had something left to do.
func (s *Movers) Stop(ctx context.Context, r id.RoomID, asker id.UserID) (n int, err error) {
	list, err := s.Into(ctx, r, asker)
	for _, m := range list {
		if m.DueAt.IsZero() && m.Waiting == 0 {
			continue
		}
		if _, err := s.Requests.Steer(ctx, asker, m.Command, invites.Decline); err != nil {
			return n, err
		}
		m.DueAt = time.Time{}
		if err := s.Store.SaveMove(ctx, m.Move); err != nil {
			return n, err
		}
		n++
	}
	return n, err
}

// Due returns the reminders to send now. Each is tried again after a pause, until Reminded.
func (s *Movers) Due(ctx context.Context) (due []invites.MoveReminder, err error) {
	moves, failed := s.Store.MovesDue(ctx, s.Clock.Now(), dueAtOnce)
	for _, m := range moves {
		reminder, err := s.look(ctx, &m)
		if err != nil {
			m.DueAt, failed = s.Clock.Now().Add(sendPause), errors.Join(failed, fmt.Errorf("looking at the move from %s to %s: %w", m.Old, m.New, err))
		}
		if err := s.Store.SaveMove(ctx, m); err != nil {
			return due, errors.Join(failed, err)
		}
		if reminder != nil {
			due = append(due, *reminder)
		}
	}
	return due, failed
}

// look makes the reminder of a move, nil where there is none for now. It sets when the move is looked at next.
func (s *Movers) look(ctx context.Context, m *invites.Move) (*invites.MoveReminder, error) {
	now := s.Clock.Now()
	again := now.Add(max(min(m.Remind, lookPause), dueEvery))
	st, err := s.Requests.Standing(ctx, m.Command)
	if err != nil {
		return nil, err
	}
	switch old := now.Sub(m.CreatedAt) > m.Remind+MaxRemind; {
	case len(st.Counts) == 0 && now.Sub(m.CreatedAt) > proposedFor:
		return nil, s.Store.DropMove(ctx, m.ID)
	case len(st.Counts) == 0:
		m.DueAt = again
		return nil, nil
	case m.Remind == 0, old, invites.CountRows(st.Counts, invites.StatusCancelled) > 0:
		m.DueAt = time.Time{}
		return nil, nil
	case st.More():
		m.DueAt = again
		return nil, nil
	}
	counts, err := s.Store.CountMoved(ctx, m.Command)
	if err != nil {
		return nil, err
	}
	var last time.Time
	for _, c := range counts {
		if c.Last.After(last) {
			last = c.Last
		}
	}
	if at := last.Add(m.Remind); now.Before(at) {
		m.DueAt = at
		return nil, nil
	}
	r, err := s.reminder(ctx, *m)
	if m.DueAt = now.Add(sendPause); err == nil && r == nil {
		m.DueAt = time.Time{}
	}
	return r, err
}

// dueEvery is the shortest time between two looks at a move.
const dueEvery = 5 * time.Second

// reminder makes a reminder, for those people who are still in the old room. It is nil where nobody is left to be reminded, or the actor is not in the new
// room any more.
func (s *Movers) reminder(ctx context.Context, m invites.Move) (*invites.MoveReminder, error) {
	if err := s.Judge.Reach.Member(ctx, m.New, m.Actor); err != nil {
		if errors.Is(err, judge.ErrNotJoined) {
			err = nil
		}
		return nil, err
	}
	r := &invites.MoveReminder{Move: m}
	users, err := s.Store.NotCome(ctx, m.Command)
	if err != nil || len(users) == 0 {
		return nil, err
	}
	there, err := s.Rooms.Members(ctx, m.Old, "join")
	if invites.Unseen(err) {
		r.Mute, r.Users = true, users
		return r, nil
	} else if err != nil {
		return nil, err
	}
	in := make(map[id.UserID]bool, len(there))
	for _, user := range there {
		in[user] = true
	}
	if r.Users = slices.DeleteFunc(users, func(user id.UserID) bool { return !in[user] }); len(r.Users) == 0 {
		return nil, nil
	}
	snap, err := s.Rooms.Snapshot(ctx, m.Old, s.Self.Bot, powers(s.Self.Bot, m.Actor), true)
	if invites.UnlessUnseen(err) != nil {
		return nil, err
	}
	for _, user := range []id.UserID{s.Self.Bot, m.Actor} {
		r.Mute = r.Mute || err != nil || snap.CanSend(user, room.TypeMessage, false).Verdict != room.Allow
	}
	return r, nil
}

// Reminded ends the work on a move: its reminder was sent to the old room, or can't be.
func (s *Movers) Reminded(ctx context.Context, m invites.Move, there bool) error {
	if m.DueAt = (time.Time{}); there {
		m.RemindedAt = s.Clock.Now()
	}
	return s.Store.SaveMove(ctx, m)
}
