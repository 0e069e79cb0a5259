package policy

import (
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Fact is a set of kinds of knowledge, besides the room's state, which a policy may depend on.
type Fact uint8

// The facts.
const (
	FactJoined  Fact = 1 << iota // since when the actor is in the room
	FactPast                     // when the target last left, declined or was kicked
	FactMembers                  // how many members the room has
	FactLists                    // the rules of policy lists against the target and the room
	FactSpent                    // the invitations counted towards the quotas
	FactAuthors                  // the memberships in InForce.AuthorKeys; they belong into the snapshot
)

// Facts are the knowledge used by a decision besides the room's state. A fact missing from Have is unknown.
type Facts struct {
	Now      time.Time
	Have     Fact
	Joined   time.Time // FactJoined: since when, or a time long enough ago
	Past     Past      // FactPast
	Members  int64     // FactMembers: joined ones
	Hit      *Hit      // FactLists: nil where no list bans the target
	RoomHit  *Hit      // FactLists: nil where no list bans the room
	Spent    Spent     // FactSpent
	Paid     bool      // the quotas were charged for this already
	Approved bool      // the approval asked for by the policy was given
	Itself   bool      // no user asks: the policy itself has the bot do it, so the fields below ask do not matter
	Unasked  bool      // the bot asks for a plan to which the policy agrees, so the ask rules do not matter
	Link     *LinkUse  // the target comes by a link of the actor; nil: not
	Theirs   bool      // of a withdrawal: the bot sent the invitation for the actor

	Unsent []id.UserID // of a withdrawal: the actors of invitations of the target that wait to be sent
}

// LinkUse is a link at the moment of its use.
type LinkUse struct {
	Uses int64 // before this one
	Age  time.Duration
}

// Past is when somebody last left a room, each zero where they did not, as far back as a cooldown asks.
type Past struct{ Left, Declined, Kicked time.Time }

// Hit is a policy list's rule against a user, a server or a room.
type Hit struct {
	List   id.RoomID
	Entity string // as the rule has it; empty where it hides it
	Reason string
}

// Spent is when invitations were asked for, oldest first: by the actor, in the room, and by people of the actor's server.
type Spent struct{ Person, Room, Server []time.Time }

// With returns the spendings with one more.
func (s Spent) With(at time.Time) Spent {
	return Spent{append(slices.Clip(s.Person), at), append(slices.Clip(s.Room), at), append(slices.Clip(s.Server), at)}
}

// Requires names the facts needed for a decision on an action under the policy.
func (p *InForce) Requires(action room.ActionType) (need Fact) {
	d := &p.Document
	if action == room.Join {
		if d.Join.Deny && len(d.Whom.Lists) > 0 {
			need |= FactLists
		}
		if d.Join.MaxMembers > 0 {
			need |= FactMembers
		}
		return need
	}
	if d.Ask.JoinedFor > 0 {
		need |= FactJoined
	}
	if action != room.Invite {
		return need // the other fields are about the people invited
	}
	if d.Whom.Cooldown.Longest() > 0 {
		need |= FactPast
	}
	if d.Whom.MaxMembers > 0 {
		need |= FactMembers
	}
	if len(d.Whom.Lists) > 0 {
		need |= FactLists
	}
	if d.Quota.Longest() > 0 {
		need |= FactSpent
	}
	return need
}

// MaxMembers is how many members end an action into the room; 0: no number does.
func (p *InForce) MaxMembers(action room.ActionType) int64 {
	if action == room.Join {
		return p.Document.Join.MaxMembers
	}
	return p.Document.Whom.MaxMembers
}

// Longest is how far back a target's past matters.
func (c Cooldown) Longest() time.Duration { return max(c.Leave, c.Decline, c.Kick) }

// Longest is the longest window of the quotas; 0 where there is no quota.
func (q Quota) Longest() (longest time.Duration) {
	for _, r := range [...]Rate{q.Person, q.Room, q.Server} {
		if r.Count > 0 {
			longest = max(longest, r.Per)
		}
	}
	return longest
}
