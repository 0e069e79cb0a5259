// Package policy joins what the Matrix rules say of two people, the actor who asks and the performer who would act, with
// the room's own policy, and explains the outcome. It is pure.
package policy

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// EventType is the type of the state event that holds a room's policy; its state key is empty.
const EventType = "chat.usher.policy"

// Key is where a room's policy stands in its state.
func Key() room.Key { return room.Key{Type: EventType} }

// Side says whose standing decided.
type Side string

// The sides of a decision.
const (
	SideNone      Side = ""          // nobody's: it is allowed
	SideActor     Side = "actor"     // the one who asks
	SidePerformer Side = "performer" // the one who would send it, where that is the bot
	SidePolicy    Side = "policy"    // the room's policy
)

// Reason codes beyond those of the Matrix rules.
const (
	CodeNoView        room.Rule = "unknown.no_view"        // nobody whom Usher may read as sees the room
	CodeNoAssertion   room.Rule = "performer.no_assertion" // Usher may not act as this user
	CodeAlready       room.Rule = "invite.already"         // the invitation stands already
	CodeAlreadyJoined room.Rule = "join.already"           // the user is in the room already
)

// Question is what is to be decided: an action that Actor asks for and Performer would carry out.
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

// Own reports whether somebody asks for a change of their own membership that they would send themselves. There is no power
// to borrow in it, so that the homeserver may be asked even where the state is unknown; save for a withdrawal, which must not put
// somebody out who is in.
func (q Question) Own() bool {
	return q.Actor == q.Performer && q.Performer == q.Target && !Withdraws(q.Action)
}

// Decision is a verdict with its reason.
type Decision struct {
	Verdict  room.Verdict
	Code     room.Rule
	Side     Side          // whose standing decided, when not allowed
	Evidence room.Evidence // of the rule that decided
	Policy   id.EventID    // policy event that decided, else the nearest in force; empty if there is none

	// Where the policy decided:
	Field   string        // path of its field
	From    id.RoomID     // room that sets it: the room itself, or a space above it
	Fault   Malformed     // what is wrong with a malformed policy
	Missing Fact          // what would have to be known
	Match   string        // glob that matched
	Hit     *Hit          // rule of a policy list that matched
	Wait    time.Duration // when it would pass
	Rate    Rate          // quota that is used up
}

// Needs names the state that a decision on q depends on.
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

// standing judges one side: the rules of the room, and what every homeserver refuses besides.
func standing(s *room.Snapshot, a room.Action) room.Result {
	if a.Type == room.Invite {
		// Whoever can't join a room that is closed to other servers is not invited either, whether the homeserver minds or not.
		if r := room.ClientAPI(s, a, room.Synapse).Result; r.Rule == room.RuleAPIFederateTarget {
			return r
		}
	}
	return room.ClientAPI(s, a, room.AnyHomeserver).Result
}

// alreadyTrue gives a code when the room shows what is asked for, to somebody who may see it. A second invitation would
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

// Took reports whether the room shows that an action took effect.
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
