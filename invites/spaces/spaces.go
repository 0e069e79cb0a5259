package spaces

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store with the invitations that wait for somebody to join a space.
type Store interface {
	// AddSpaceWaits adds invitations. One that waits already stays as it is.
	AddSpaceWaits(ctx context.Context, waits []invites.SpaceWait) error
	// SpaceWaitsAfter returns up to limit of them with larger ids, by id.
	SpaceWaitsAfter(ctx context.Context, after int64, limit int) ([]invites.SpaceWait, error)
	// SpaceWaitsOf returns those of a user in a space.
	SpaceWaitsOf(ctx context.Context, space id.RoomID, target id.UserID) ([]invites.SpaceWait, error)
	// DropSpaceWaits ends some.
	DropSpaceWaits(ctx context.Context, waits ...int64) error
	// EntriesOf returns up to limit invitations of a user in a room, the newest first.
	EntriesOf(ctx context.Context, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error)
}

// Spaces are the use cases. All exported fields are required.
type Spaces struct {
	Store      Store
	Homeserver Homeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
	Requests   *requests.Requests

	swept int64 // the wait at which the last sweep ended
}

// Wish is a space for a person, wanted by an actor.
type Wish struct {
	Command     id.EventID
	CommandRoom id.RoomID
	Actor       id.UserID
	Space       id.RoomID
	Target      id.UserID
	Reason      string
	AsBot       bool
	Now         bool // invite to all rooms at once
	Suggested   bool // only to suggested rooms
}

// MaxPeople is the number of people in one command about a space.
const MaxPeople = 5

// waitFor is how long invitations wait for somebody to join a space whose policy does not say how long invitations stand.
const waitFor = 30 * 24 * time.Hour

// Invite invites a person to a space, and to the rooms in it for which they need an invitation: with Now or if they are in the space at once, else
// when they have joined it. Done again, it changes nothing.
func (s *Spaces) Invite(ctx context.Context, w Wish) (Tree, error) {
	tree, err := s.Tree(ctx, w)
	if err != nil {
		return tree, err
	}
	now := w.Now || tree.Nodes[0].Standing == Joined
	if first := tree.Nodes[0].Standing; !now && (first == Refused || first == Unseen) {
		return tree, nil // they can't come, so nothing waits
	}
	var waits []invites.SpaceWait
	for i := range tree.Nodes {
		n := &tree.Nodes[i]
		switch {
		case n.Standing != Wanted:
			continue
		case i == 0 || now:
			err = s.ask(ctx, w, n, room.Invite)
		default:
			at := s.Clock.Now()
			n.Standing, n.Why, n.Code = Later, room.Phrase{}, ""
			waits = append(waits, invites.SpaceWait{
				Space: w.Space, Room: n.Room, Target: w.Target, Actor: w.Actor, Command: w.Command, CommandRoom: w.CommandRoom, Reason: w.Reason, AsBot: w.AsBot, CreatedAt: at,
			})
		}
		if err != nil {
			return tree, err
		}
		if i == 0 && n.Standing == Refused && !now {
			return tree, nil
		}
	}
	if len(waits) == 0 {
		return tree, nil
	}
	keep, err := s.keep(ctx, w.Space)
	for i := range waits {
		waits[i].ExpiresAt = waits[i].CreatedAt.Add(keep)
	}
	if err != nil {
		return tree, err
	}
	return tree, s.Store.AddSpaceWaits(ctx, waits)
}

// keep is how long invitations wait for somebody to join a space.
func (s *Spaces) keep(ctx context.Context, space id.RoomID) (time.Duration, error) {
	p, err := s.Judge.Policies.Of(ctx, space, s.Self.Bot)
	if err != nil || p == nil || p.Document.Pending.ExpireAfter == 0 {
		return waitFor, invites.UnlessUnseen(err)
	}
	return min(waitFor, p.Document.Pending.ExpireAfter), nil
}

// ask asks for a change in one room, and notes what became of it.
func (s *Spaces) ask(ctx context.Context, w Wish, n *Node, action room.ActionType) error {
	rows, err := s.Requests.Ask(ctx, w.request(n.Room, action))
	if err != nil || len(rows) == 0 {
		return err
	}
	row := rows[0]
	n.Why, n.Code = room.Phrase{}, ""
	switch {
	case row.Status == invites.StatusOpen || row.Code == invites.CodeQueued: // the actor's, by another command
		n.Standing = Sending
	case row.Status == invites.StatusWaiting:
		n.Standing = Approval
	case row.Status == invites.StatusDone && action == room.Invite:
		n.Standing = Invited
	case row.Status == invites.StatusDone:
		n.Standing = Withdrawn
	default:
		n.Standing, n.Why, n.Code = Refused, row.Detail, row.Code
	}
	return nil
}

// Uninvite takes back the open invitations of a person in a space, and those that wait: one's own, and, for people with the power to kick in the space,
// all.
func (s *Spaces) Uninvite(ctx context.Context, w Wish, dryRun bool) (Tree, error) {
	tree, err := s.Tree(ctx, w)
	if err != nil {
		return tree, err
	}
	all := s.Judge.Reach.MayKick(ctx, w.Space, w.Actor)
	if all != nil && !errors.Is(all, judge.ErrKickPower) {
		return tree, all
	}
	waits, err := s.Store.SpaceWaitsOf(ctx, w.Space, w.Target)
	if err != nil {
		return tree, err
	}
	gone := map[id.RoomID]int64{}
	for _, wait := range waits {
		if wait.Actor == w.Actor || all == nil {
			gone[wait.Room] = wait.ID
		}
	}
	kept := tree.Nodes[:0]
	for i := range tree.Nodes {
		n := tree.Nodes[i]
		wait, waiting := gone[n.Room]
		switch {
		case n.Standing == Invited && !dryRun:
			err = s.ask(ctx, w, &n, policy.ActionWithdraw)
		case n.Standing == Invited:
		case waiting:
			if n.Standing = Withdrawn; dryRun {
				n.Standing = Later
			}
			n.Why, n.Code = room.Phrase{}, ""
		default:
			continue
		}
		if err == nil && waiting && !dryRun {
			err = s.Store.DropSpaceWaits(ctx, wait)
		}
		if err != nil {
			return tree, err
		}
		kept = append(kept, n)
	}
	tree.Nodes = kept
	return tree, nil
}

// sweptAtOnce is how many waiting invitations one sweep looks at.
const sweptAtOnce = 200

// Came is a person who joined a space, with the invitations that were sent for that.
type Came struct {
	Tree
	Command     id.EventID
	CommandRoom id.RoomID
	Actor       id.UserID
	Hidden      bool // people in the room of the command may not know the space
}

// Sweep sends the invitations of people who have joined a space, and drops those whose time is over or whose space they can't join any more. After a
// failure, a later sweep tries again.
func (s *Spaces) Sweep(ctx context.Context) (came []Came, err error) {
	waits, err := s.Store.SpaceWaitsAfter(ctx, s.swept, sweptAtOnce)
	if err != nil {
		return nil, err
	}
	if s.swept = 0; len(waits) == sweptAtOnce {
		s.swept = waits[len(waits)-1].ID
	}
	var failed error
	for _, wait := range waits {
		joined, over, err := s.standing(ctx, wait)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if joined {
			w := Wish{
				Command: wait.Command, CommandRoom: wait.CommandRoom, Actor: wait.Actor, Space: wait.Space, Target: wait.Target, Reason: wait.Reason, AsBot: wait.AsBot,
			}
			if came, err = s.send(ctx, w, wait.Room, came); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
		}
		if joined || over {
			failed = errors.Join(failed, s.Store.DropSpaceWaits(ctx, wait.ID))
		}
	}
	return came, failed
}

// send invites to one room of a space, and puts what became of it to the others of the same wish.
func (s *Spaces) send(ctx context.Context, w Wish, to id.RoomID, came []Came) ([]Came, error) {
	n := Node{Room: to, Depth: 1}
	closed, err := s.hidden(ctx, w, w.Space)
	if err == nil {
		n.Hidden, err = s.hidden(ctx, w, to)
	}
	if err == nil {
		err = s.ask(ctx, w, &n, room.Invite)
	}
	if err != nil {
		return came, err
	}
	for i := range came {
		if came[i].Command == w.Command && came[i].Target == w.Target {
			came[i].Nodes = append(came[i].Nodes, n)
			return came, nil
		}
	}
	return append(came, Came{Tree{Space: w.Space, Target: w.Target, Nodes: []Node{n}, Whole: true}, w.Command, w.CommandRoom, w.Actor, closed}), nil
}

// standing looks whether the target of a waiting invitation has joined the space, or will not.
func (s *Spaces) standing(ctx context.Context, wait invites.SpaceWait) (joined, over bool, err error) {
	if !s.Clock.Now().Before(wait.ExpiresAt) {
		return false, true, nil
	}
	snap, err := s.Homeserver.Snapshot(ctx, wait.Space, wait.Actor, []room.Key{room.MemberKey(wait.Target)}, false)
	if err != nil {
		return false, false, invites.UnlessUnseen(err)
	}
	switch membership, known := snap.Membership(wait.Target); {
	case !known:
		return false, false, invites.ErrKept
	case membership == "join":
		return true, false, nil
	case membership == "ban":
		return false, true, nil
	case membership == "invite":
		return false, false, nil
	}
	entries, err := s.Store.EntriesOf(ctx, wait.Space, wait.Target, 1)
	if err != nil || len(entries) == 0 {
		return false, false, err
	}
	e := entries[0]
	return false, e.Fate != invites.FatePending && e.Fate != invites.FateAccepted && e.EndedAt.After(wait.CreatedAt), nil
}
