package inbound

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// Reason codes of refusals.
const (
	CodeListed   = "spam.listed"     // a policy list of the operator bans the sender, their server or the room
	CodeIP       = "spam.ip_literal" // the sender's server goes by an IP address
	CodeNoCreate = "spam.no_create"  // the invitation does not show the create event of its room
	CodeSender   = "spam.sender"     // the sender invites too many different people
	CodeRoom     = "spam.room"       // too many different people are invited to the room
	CodeServer   = "spam.server"     // people of the sender's server invite too many different people
	CodeNew      = "spam.new_sender" // many senders that were never seen before invite at the moment, and the sender is one of them
	CodeOther    = "spam.other"      // of several reasons; in the audit only
	CodeBlocked  = "spam.blocked"    // the breaker of the sender's server is open
)

// Rules are the operator's policy. The zero value refuses nothing.
type Rules struct {
	Lists      []id.RoomID // policy lists
	IPLiterals bool        // servers named by an IP address may invite
	NoCreate   bool        // invitations without the create event of their room are let through
	Sender     Limit
	Room       Limit
	Server     Limit
	New        Limit     // of one sender never seen before, while Rush is met
	Rush       Limit     // different new senders from which on New counts
	Ops        id.RoomID // the operators' room, which is asked about blocked servers; empty: nobody is
	BanList    id.RoomID // the policy list on which the operators' room may ban servers; empty: none
	Breaker    Limit     // different senders of one server, each with a refused invitation, after which the server is blocked
	Block      time.Duration
}

// Lists looks users and rooms up in policy lists.
type Lists interface {
	// Bans returns a rule of the lists against a user, their server or a room, or nil.
	Bans(ctx context.Context, lists []id.RoomID, user id.UserID, r id.RoomID) (*policy.Hit, error)
}

// Store keeps what outlives the process.
type Store interface {
	// Sharing reports whether two users were in one room, by the ledger.
	Sharing(ctx context.Context, a, b id.UserID) (bool, error)
	// InboundUntil returns the end of an entry, or ErrNotFound.
	InboundUntil(ctx context.Context, kind invites.InboundKind, who, other string) (time.Time, error)
	// SaveInbound adds an entry, or replaces its end.
	SaveInbound(ctx context.Context, kind invites.InboundKind, who, other string, until time.Time) error
	// InboundAfter returns up to limit entries of a kind that have not ended, from behind one on, in order.
	InboundAfter(ctx context.Context, kind invites.InboundKind, behind invites.InboundEntry, now time.Time, limit int) ([]invites.InboundEntry, error)
	// DropInbound deletes an entry.
	DropInbound(ctx context.Context, kind invites.InboundKind, who, other string) error
	// OpenCard adds a card, unless its question has one already, and returns it as stored.
	OpenCard(ctx context.Context, c invites.Card) (invites.Card, error)
	// Record adds rows and audit in one commit, and returns the rows as stored.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
}

// invitation is an invitation to a user of the homeserver, before it is accepted.
type invitation struct {
	sender, target id.UserID
	room           id.RoomID
	event          []byte // over federation, in the format for clients; nil: by a local user
}

// Homeserver shows state, and writes to policy lists.
type Homeserver interface {
	// Snapshot returns the known state of a room as a user sees it, as judge.Homeserver does.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
}

// Poster shows cards.
type Poster interface {
	// Post shows the cards of a request soon. It does not wait.
	Post(request id.EventID)
}

// Inbound judges invitations. The exported fields are required.
type Inbound struct {
	Rules Rules // of the config at the start; those of the operators' room replace them
	Lists Lists
	Store Store
	Clock invites.Clock
	Self  invites.Identity

	Homeserver Homeserver
	Poster     Poster
	Queue      invites.Queue
	Operator   func(id.UserID) bool // whether a user is an operator

	taken    atomic.Pointer[Rules] // the config's, read since; nil: Rules
	replaced atomic.Pointer[Rules] // nil: those of the config hold
	mu       sync.Mutex
	counted
	refusals ring
	tally    tally
	sweeping sweeping
}

// counted is the people counted by each limit.
type counted struct {
	senders, rooms, servers, fresh, failed, rush windows
}

// InForce returns the rules in force.
func (s *Inbound) InForce() Rules {
	if r := s.replaced.Load(); r != nil {
		return *r
	}
	return *configured(s)
}

// Judge decides on an invitation; event is the invitation in the format for clients, where it comes over federation, and nil where a local user
// invites. It returns no code where the invitation may pass. An error means that a list, or the store, can't be read.
func (s *Inbound) Judge(ctx context.Context, sender, target id.UserID, r id.RoomID, event []byte) (code string, reason room.Phrase, err error) {
	if target.Homeserver() != s.Self.Domain || sender == s.Self.Bot {
		return "", reason, nil
	}
	code, err = s.judge(ctx, invitation{sender, target, r, event})
	if code == "" || err != nil {
		return "", reason, err
	}
	s.note(Refusal{At: s.Clock.Now(), Sender: sender, Target: target, Room: r, Code: code})
	return code, Reason(code), nil
}

// note keeps a refusal for people and for the audit.
func (s *Inbound) note(one Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals.add(one)
	s.tally.add(one)
}

func (s *Inbound) judge(ctx context.Context, in invitation) (string, error) {
	server, rules := room.CanonicalServer(in.sender.Homeserver()), s.InForce()
	hit, err := s.Lists.Bans(ctx, rules.Lists, in.sender, in.room)
	switch {
	case err != nil:
		return "", err
	case hit != nil:
		return CodeListed, nil
	case !rules.IPLiterals && room.IsIPLiteral(in.sender.Homeserver()):
		return CodeIP, nil
	case in.event != nil && !rules.NoCreate && !showsCreate(in.event):
		return CodeNoCreate, nil
	}
	code, err := s.limited(ctx, in, server)
	if code == "" || err != nil {
		return "", err
	}
	exempt, err := s.exempt(ctx, in)
	if err != nil || exempt {
		return "", err
	}
	return code, s.strike(ctx, in, server)
}

// limited counts an invitation, or returns the code of the limit that it would pass.
func (s *Inbound) limited(ctx context.Context, in invitation, server string) (string, error) {
	now, local := s.Clock.Now(), in.event == nil
	known, err := s.known(ctx, in.sender, local)
	if err != nil {
		return "", err
	}
	if !local && !known {
		if blocked, err := s.stands(ctx, invites.InboundBlocked, server, ""); err != nil || blocked {
			return CodeBlocked, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.InForce()
	rushing := false
	if !local && !known {
		rushing = s.rush.reached("", r.Rush, now)
		s.rush.add("", in.sender, r.Rush, now)
	}
	switch sender := string(in.sender); {
	case s.senders.full(sender, in.target, r.Sender, now):
		return CodeSender, nil
	case s.rooms.full(string(in.room), in.target, r.Room, now) && !local:
		return CodeRoom, nil
	case !local && !known && rushing && s.fresh.full(sender, in.target, r.New, now):
		return CodeNew, nil
	case !local && s.servers.full(server, in.target, r.Server, now) && !known:
		return CodeServer, nil
	default:
		s.senders.add(sender, in.target, r.Sender, now)
		s.rooms.add(string(in.room), in.target, r.Room, now)
		if !local {
			s.fresh.add(sender, in.target, r.New, now)
			s.servers.add(server, in.target, r.Server, now)
		}
	}
	return "", nil
}

// Times of entries in the store.
const (
	knownAfter = 24 * time.Hour       // a sender is known so long after the first invitation that passed
	knownFor   = 180 * 24 * time.Hour // and for so long
)

// known reports whether a sender was seen long ago. Of a sender never seen, it notes the time.
func (s *Inbound) known(ctx context.Context, sender id.UserID, local bool) (bool, error) {
	if local {
		return true, nil
	}
	now := s.Clock.Now()
	until, err := s.Store.InboundUntil(ctx, invites.InboundKnown, string(sender), "")
	if err != nil && invites.UnlessNone(err) != nil {
		return false, err
	}
	if err != nil || until.Before(now) {
		return false, nil
	}
	return until.Sub(now) <= knownFor-knownAfter, nil
}

// Passed notes that an invitation from another server was let through: its sender is known from the next day on. The invitation is kept for
// keepInvited, in case the sender is blocked later.
func (s *Inbound) Passed(ctx context.Context, sender, target id.UserID, r id.RoomID, event []byte) error {
	now := s.Clock.Now()
	if other := invitedTo(target, id.EventID(exactjson.Text(event, "event_id")), r); other != "" && s.Self.MayAssert(target) {
		if err := s.Store.SaveInbound(ctx, invites.InboundInvited, string(sender), other, now.Add(keepInvited)); err != nil {
			return err
		}
	}
	until, err := s.Store.InboundUntil(ctx, invites.InboundKnown, string(sender), "")
	if err == nil && until.After(now) || invites.UnlessNone(err) != nil {
		return invites.UnlessNone(err)
	}
	return s.Store.SaveInbound(ctx, invites.InboundKnown, string(sender), "", now.Add(knownFor))
}

// stands reports whether an entry of the store has not ended.
func (s *Inbound) stands(ctx context.Context, kind invites.InboundKind, who, other string) (bool, error) {
	until, err := s.Store.InboundUntil(ctx, kind, who, other)
	if err != nil {
		return false, invites.UnlessNone(err)
	}
	return until.After(s.Clock.Now()), nil
}

// exempt reports whether limits do not count between two users.
func (s *Inbound) exempt(ctx context.Context, in invitation) (bool, error) {
	expected, err := s.stands(ctx, invites.InboundExpected, string(in.target), string(in.sender))
	if err != nil || expected {
		return expected, err
	}
	return s.Store.Sharing(ctx, in.sender, in.target)
}

// strike counts a refused invitation against the sender's server, and opens its breaker.
func (s *Inbound) strike(ctx context.Context, in invitation, server string) error {
	rules := s.InForce()
	if in.event == nil || rules.Breaker.People == 0 {
		return nil
	}
	now := s.Clock.Now()
	s.mu.Lock()
	s.failed.add(server, in.sender, rules.Breaker, now)
	trips := s.failed.reached(server, rules.Breaker, now)
	s.mu.Unlock()
	if !trips {
		return nil
	}
	if blocked, err := s.stands(ctx, invites.InboundBlocked, server, ""); err != nil || blocked {
		return err
	}
	until := now.Add(rules.Block)
	if err := s.Store.SaveInbound(ctx, invites.InboundBlocked, server, "", until); err != nil {
		return err
	}
	s.hurry()
	return s.askOperators(ctx, server, now, until)
}

// Expect notes that a user expects invitations of another one, for a time.
func (s *Inbound) Expect(ctx context.Context, user, sender id.UserID) error {
	return s.Store.SaveInbound(ctx, invites.InboundExpected, string(user), string(sender), s.Clock.Now().Add(ExpectFor))
}

// ExpectFor is how long a user expects the invitations of another one.
const ExpectFor = 7 * 24 * time.Hour

// Unblock closes the breaker of a server.
func (s *Inbound) Unblock(ctx context.Context, server string) error {
	server = room.CanonicalServer(server)
	s.mu.Lock()
	delete(s.failed.byKey, server)
	s.mu.Unlock()
	return s.Store.SaveInbound(ctx, invites.InboundBlocked, server, "", s.Clock.Now())
}

// showsCreate reports whether an invitation over federation has the create event of its room in its stripped state.
func showsCreate(event []byte) bool {
	for _, path := range [][]string{{"unsigned", "invite_room_state"}, {"invite_room_state"}} {
		for one := range exactjson.Items(event, path...) {
			if exactjson.Text(one, "type") == room.TypeCreate {
				return true
			}
		}
	}
	return false
}
