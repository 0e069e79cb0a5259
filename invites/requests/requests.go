package requests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/delivery"
	"usher/invites/judge"
	"usher/invites/links"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store needed by requests.
type Store interface {
	// ChangesOf returns the rows of one request, by ID.
	ChangesOf(ctx context.Context, request string) ([]invites.Change, error)
	// Record adds rows, audit and charges in one commit. Existing rows (same request, action, room, target) are left as
	// they are, and an audit row of a decision is added only once for each. It returns the rows as stored, in the order given. ErrSpent
	// means: the quotas of a charge have changed since they were read, and nothing was recorded.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
	// OpenCard adds a card, unless its question has one already, and returns it as stored.
	OpenCard(ctx context.Context, c invites.Card) (invites.Card, error)
	// CardOf returns the card of a question, with all its targets.
	CardOf(ctx context.Context, command id.EventID, action room.ActionType, r id.RoomID, target id.UserID) (invites.Card, error)
	// CardsTodo returns open cards, and cards with an outcome not told yet, by ID, without the targets of confirmations.
	CardsTodo(ctx context.Context, q invites.CardTodo) ([]invites.Card, error)
	// UnsentOf returns the invitations of some users in a room that wait to be sent.
	UnsentOf(ctx context.Context, r id.RoomID, targets ...id.UserID) ([]invites.Change, error)
	// Announced returns the invitation that the homeserver was allowed to send for the actor's own client, until it is settled, or ErrNotFound.
	Announced(ctx context.Context, r id.RoomID, actor, target id.UserID, now time.Time) (invites.Change, error)
	// CountRows counts the rows of a request for one action by status and code.
	CountRows(ctx context.Context, request string, action room.ActionType) ([]invites.RowCount, error)
	// ChangesAfter returns up to limit rows of a request with larger ids, by ID.
	ChangesAfter(ctx context.Context, request string, after int64, limit int) ([]invites.Change, error)
	// TargetsOf returns the users for whom a request has a row for an action.
	TargetsOf(ctx context.Context, request string, action room.ActionType) ([]id.UserID, error)
}

// Homeserver finds and enters rooms. Errors are *ActError.
type Homeserver interface {
	// Members returns the users with a membership in a room, as the bot sees it.
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
	// Act makes one change, once.
	Act(ctx context.Context, e invites.Effect) error
	// Resolve looks an alias up, and servers in the room.
	Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error)
}

// Poster shows the cards of a request soon. Else a sweep does.
type Poster interface{ Post(request id.EventID) }

// Requests carries out the use cases. All fields but Poster are required.
type Requests struct {
	Store      Store
	Homeserver Homeserver
	Queue      invites.Queue
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
	Delivery   *delivery.Delivery
	Cards      *cards.Cards
	Limits     *Limits
	Links      *links.Links
	Poster     Poster // nil: none
	AtOnce     int    // how many rows of one request are delivered before Ask returns; the others are queued

	refused refusals
}

// Request is one action on some targets in one room, asked for by one actor.
type Request struct {
	Origin      invites.Origin
	Command     id.EventID // asking event; empty: none
	Key         string     // of the request; empty: the command
	CommandRoom id.RoomID
	Actor       id.UserID // verified sender of the command
	Action      room.ActionType
	Room        id.RoomID
	Via         []string
	Targets     []id.UserID
	Reason      string
	AsBot       bool            // the bot performs also where it could act as the actor
	Asker       id.UserID       // the actor in records, where an operator sends the bot somewhere; empty: the actor
	Link        *policy.LinkUse // the targets come by a link; nil: not
	Approve     bool            // put to a vote also where the policy does not ask for one
	Viewer      id.UserID       // read as this user where the bot can't, since they only ask; empty: as the actor

	counted bool // the people named count elsewhere
}

// key is the key of the request in its rows.
func (r Request) key() string { return cmp.Or(r.Key, string(r.Command)) }

// questions are the questions of a request to the judge, one for each target.
func (s *Requests) questions(req Request) []policy.Question {
	list := make([]policy.Question, len(req.Targets))
	for i, target := range req.Targets {
		list[i] = policy.Question{Action: req.Action, Actor: req.Actor, Performer: s.Self.Performer(req.Action, req.Actor, target, req.AsBot), Target: target}
		if req.native() {
			list[i].Performer = req.Actor
		}
	}
	return list
}

// MaxDryRun is about how many people one question may be: each may take many requests, and no quota bounds questions.
const MaxDryRun = 20

// ErrDryRun says that a question is about more than MaxDryRun people.
var ErrDryRun = errors.New("requests: a question about too many people")

// DryRun decides on each target without doing anything: !why and --dry-run show it, and Ask acts on it. It fails where the homeserver does
// not answer.
func (s *Requests) DryRun(ctx context.Context, req Request) ([]judge.Judgement, error) {
	if req.Action == room.Invite && len(req.Targets) > MaxDryRun {
		return nil, ErrDryRun
	}
	judged, err := s.Judge.Each(ctx, req.Room, s.questions(req), &judge.Reader{Viewer: req.Viewer, Bounded: true})
	if err == nil {
		s.Limits.Foretell(judged)
	}
	return judged, err
}

// Ask decides on every target, records the rows with their audit in one commit, delivers the first few at once and queues the rest. It
// returns a row for each target, in order. Asked again for the same command, it goes on where it was. The error is a *LimitError where the
// asker's commands name too many people.
func (s *Requests) Ask(ctx context.Context, req Request) ([]invites.Change, error) {
	rows, claimed, err := s.record(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.Cards.Open(ctx, rows); err != nil {
		return nil, err
	}
	now := s.Clock.Now()
	var first []*invites.Change
	var queue []int64
	for i, row := range rows {
		switch {
		case row.Status != invites.StatusOpen || row.DueAt.After(now):
			// settled, or the queue has it for later
		case len(first) < s.AtOnce:
			first = append(first, &rows[i])
		default:
			queue = append(queue, row.ID)
		}
	}
	if err := s.Delivery.Now(ctx, first, claimed); err != nil {
		return nil, err
	}
	if len(queue) > 0 {
		if err := s.Queue.Wake(ctx, now, queue...); err != nil {
			return nil, fmt.Errorf("queueing: %w", err)
		}
	}
	return slices.DeleteFunc(rows, func(row invites.Change) bool { return row.Action != req.Action }), nil
}

// Apart reports whether the outcome of an invitation to a room depends on no other invitation there, except one of the same user: the
// policy in force has no quota, and no approval, whose cards are numbered.
func (s *Requests) Apart(ctx context.Context, r id.RoomID, actor id.UserID) (bool, error) {
	p, err := s.Judge.Policies.Of(ctx, r, actor)
	if err != nil || p == nil {
		return false, err
	}
	return p.Document.Quota.Longest() == 0 && !p.Document.Approval.Required, nil
}

// Progress returns the rows of a command, without the automatic joins after them.
func (s *Requests) Progress(ctx context.Context, command id.EventID) ([]invites.Change, error) {
	rows, err := s.Store.ChangesOf(ctx, string(command))
	return slices.DeleteFunc(rows, func(row invites.Change) bool { return row.Action != rows[0].Action }), err
}

// Begun reports whether rows of a command are on record.
func (s *Requests) Begun(ctx context.Context, command id.EventID) (bool, error) {
	rows, err := s.Store.ChangesAfter(ctx, string(command), 0, 1)
	return len(rows) > 0, err
}

// Enter has the bot join a room.
func (s *Requests) Enter(ctx context.Context, r id.RoomID, via []string) error {
	return s.Homeserver.Act(ctx, invites.Effect{Action: room.Join, Room: r, Via: via, Performer: s.Self.Bot, Target: s.Self.Bot})
}

// Resolve finds the room of an alias, and servers in it. The error is Refused where there is none.
func (s *Requests) Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error) {
	return s.Homeserver.Resolve(ctx, alias)
}
