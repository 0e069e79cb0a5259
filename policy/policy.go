// Package policy joins the verdicts of the Matrix rules on two users, the asking actor and the acting performer, with
// the room's own policy, and explains the outcome. It is pure.
package policy

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// EventType is the type of the state event with a room's policy; its state key is empty.
const EventType = "chat.usher.policy"

// Key is where a room's policy stands in its state.
func Key() room.Key { return room.Key{Type: EventType} }

// Side names the side whose standing decided.
type Side string

// The sides of a decision.
const (
	SideNone      Side = ""          // nobody's: it is allowed
	SideActor     Side = "actor"     // the asking user
	SidePerformer Side = "performer" // the sending user, where it is the bot
	SidePolicy    Side = "policy"    // the room's policy
	SideOperator  Side = "operator"  // the limits of Usher's operator
)

// Reason codes beyond the codes of the Matrix rules.
const (
	CodeNoView        room.Rule = "unknown.no_view"        // no user whom Usher may read as sees the room
	CodeNoAssertion   room.Rule = "performer.no_assertion" // Usher may not act as this user
	CodeAlready       room.Rule = "invite.already"         // the invitation stands already
	CodeAlreadyJoined room.Rule = "join.already"           // the user is in the room already
)

// Reason codes of the operator's limits, which hold for all rooms together.
const (
	CodeLimitPerson room.Rule = "limit.person" // the user has asked for too many invitations
	CodeLimitServer room.Rule = "limit.server" // too many users of one server were invited
	CodeLimitAll    room.Rule = "limit.all"    // too many invitations were asked for
	CodeLimitJoins  room.Rule = "limit.joins"  // too many joins at the word of the users of one server
)

// Question is the action to decide on: Actor asks for it, and Performer would carry it out.
type Question struct {
	Action    room.ActionType
	Actor     id.UserID
	Performer id.UserID
	Target    id.UserID
}

// actions gives the action as the actor's own and as the performer's.
func (q Question) actions() (actor, performer room.Action) {
	actor = room.Action{Type: OnTheWire(q.Action), Sender: q.Actor, Target: q.Target}
	performer = actor
	performer.Sender = q.Performer
	return actor, performer
}

// Own reports whether somebody asks for a change of their own membership, and would send it themselves. There is no power
// to borrow in it, so the homeserver may be asked even where the state is unknown; save for a withdrawal, which must not remove
// a joined user.
func (q Question) Own() bool {
	return q.Actor == q.Performer && q.Performer == q.Target && !Withdraws(q.Action)
}

// Decision is a verdict with its reason.
type Decision struct {
	Verdict  room.Verdict
	Code     room.Rule
	Side     Side          // the side of the reason, when not allowed
	Evidence room.Evidence // of the deciding rule
	Policy   id.EventID    // deciding policy event, else the nearest in force; empty if there is none

	// Where the policy decided:
	Field   string        // path of its field
	From    id.RoomID     // room with the policy: the room itself, or a space above it
	Fault   Malformed     // fault of a malformed policy
	Missing Fact          // the facts still to be known
	Match   string        // matching glob
	Hit     *Hit          // matching rule of a policy list
	Wait    time.Duration // when it would pass
	Rate    Rate          // used-up quota
}

// Needs names the state needed for a decision on q.
func Needs(q Question) []room.Key {
	actor, performer := q.actions()
	needs := append(room.Needs(actor), Key())
	if q.Actor == q.Performer {
		return needs
	}
	for _, key := range room.Needs(performer) {
		if !contains(needs, key) {
			needs = append(needs, key)
		}
	}
	return needs
}

func contains(keys []room.Key, key room.Key) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// standing judges one side: the rules of the room, and the further refusals of every homeserver.
func standing(s *room.Snapshot, a room.Action) room.Result {
	if a.Type == room.Invite {
		// A user unable to join a room closed to other servers is not invited either, whether the homeserver minds or not.
		if r := room.ClientAPI(s, a, room.Synapse).Result; r.Rule == room.RuleAPIFederateTarget {
			return r
		}
	}
	return room.ClientAPI(s, a, room.AnyHomeserver).Result
}

// alreadyTrue gives a code when the room shows the wanted change already, to somebody with the right to see it. A second invitation would
// change nothing and notify nobody, so none is sent.
func alreadyTrue(s *room.Snapshot, q Question) room.Rule {
	target, known := s.Membership(q.Target)
	if !known {
		return ""
	}
	switch {
	case q.Action == room.Join && target == "join":
		return CodeAlreadyJoined
	case q.Action == room.Invite && target == "invite":
		if actor, _ := s.Membership(q.Actor); actor == "join" {
			return CodeAlready
		}
	}
	return ""
}

// Took reports whether the room shows the effect of an action.
func Took(s *room.Snapshot, action room.ActionType, target id.UserID) bool {
	membership, known := s.Membership(target)
	if !known {
		return false
	}
	switch action {
	case room.Invite:
		return membership == "invite" || membership == "join"
	case room.Join:
		return membership == "join"
	case room.Ban:
		return membership == "ban"
	case room.Kick, room.Leave, room.Unban, ActionWithdraw, ActionExpire:
		return membership == "leave"
	}
	return false
}
