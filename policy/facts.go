package policy

import (
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Fact is one thing that a policy may depend on besides the room's state; several together are a set.
type Fact uint8

// The facts.
const (
	FactJoined  Fact = 1 << iota // since when the actor is in the room
	FactPast                     // when the target last left, declined or was kicked
	FactMembers                  // how many members the room has
	FactLists                    // whether a policy list bans the target, or the room
	FactSpent                    // what was spent of the quotas
	FactAuthors                  // the memberships in InForce.AuthorKeys; they belong into the snapshot
)

// Facts are what a decision goes by besides the room's state. What Have does not name is unknown.
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
	Approved bool      // those who approve have approved
	Itself   bool      // nobody asks: the policy has the bot do it, so that who may ask does not matter
	Theirs   bool      // of a withdrawal: the invitation is one that the actor had the bot send
}

// Past is when somebody last left a room, each zero where they did not, as far back as a cooldown asks.
type Past struct{ Left, Declined, Kicked time.Time }

// Hit is a rule of a policy list that bans a user, a server or a room.
type Hit struct {
	List   id.RoomID
	Entity string // as the rule has it; empty where it hides it
	Reason string
}

// Spent is when invitations were asked for, oldest first: by the actor, in the room, and by people of the actor's server.
type Spent struct{ Person, Room, Server []time.Time }

// With returns what is spent when one more is.
func (s Spent) With(at time.Time) Spent {
	return Spent{append(slices.Clip(s.Person), at), append(slices.Clip(s.Room), at), append(slices.Clip(s.Server), at)}
}

// Requires names the facts that a policy makes a decision on an action depend on.
func (p *InForce) Requires(action room.ActionType) (need Fact) {
	d := &p.Document
	if d.Ask.JoinedFor > 0 {
		need |= FactJoined
	}
	if action != room.Invite {
		return need // whoever may ask may take back what they asked for, whomever it is about
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

// Longest is how far back a target's past matters.
func (c Cooldown) Longest() time.Duration { return max(c.Leave, c.Decline, c.Kick) }

// Longest is how far back what was spent matters; 0 where there is no quota.
func (q Quota) Longest() (longest time.Duration) {
	for _, r := range [...]Rate{q.Person, q.Room, q.Server} {
		if r.Count > 0 {
			longest = max(longest, r.Per)
		}
	}
	return longest
}
