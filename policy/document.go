package policy

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Document is a policy in force: the fields of version 1 with their values, as set or by default. The JSON behind it and
// the meaning of each field are in docs/policies.md. The zero value of a limit or a list means: no such rule.
type Document struct {
	Delegate bool // the bot invites for people below the room's invite level
	Ask      Ask
	Whom     Whom
	Quota    Quota
	Approval Approval
	Knocks   Knocks
	Guard    Guard
	Pending  Pending
}

// Ask is who may ask for invitations. All of it must hold.
type Ask struct {
	Level     room.Level    // at least
	Users     []string      // user globs; with Servers: one of both must match, if either names anybody
	Servers   []string      // server globs
	JoinedFor time.Duration // how long they must have been in the room
}

// Whom is who may be invited.
type Whom struct {
	AllowUsers   []string // user globs; with AllowServers: one of both must match, if either names anybody
	DenyUsers    []string
	AllowServers []string
	DenyServers  []string
	IPLiterals   bool        // people on servers that go by an IP address may be invited
	Lists        []id.RoomID // policy lists: users that they ban are not invited, nor is anybody into a room that they ban

	ExceptUsers   []string // user globs that Lists do not keep out
	ExceptServers []string // server globs that Lists do not keep out

	Cooldown   Cooldown
	MaxMembers int64 // joined members from which on nobody more is invited
}

// Cooldown is how long somebody is left in peace, or kept out.
type Cooldown struct {
	Leave   time.Duration // after leaving
	Decline time.Duration // after declining an invitation
	Kick    time.Duration // after being kicked
}

// Rate is a number in a sliding window. Count 0 means no limit.
type Rate struct {
	Count int64
	Per   time.Duration
}

// Quota is how many invitations may be asked for.
type Quota struct {
	Person Rate // by one person in the room
	Room   Rate // in the room
	Server Rate // by the people of one server in the room
}

// Approval is whose consent an invitation needs.
type Approval struct {
	Required bool
	Votes    int64
	Level    room.Level    // power level from which on a vote counts, in the room asked about
	Room     id.RoomID     // where the card is shown; empty: the room itself
	Expires  time.Duration // how long a card stays open
}

// Knocks is what happens to people who knock.
type Knocks struct {
	Desk            bool
	Room            id.RoomID  // where the card is shown; empty: the room itself
	Level           room.Level // power level from which on a decision counts
	AcceptUsers     []string   // user globs that are let in at once
	AcceptServers   []string   // server globs that are let in at once
	AcceptMembersOf []id.RoomID
	Breaker         Rate // knocks that pause letting in at once
}

// Values of Guard.Mode, Guard.Intruders and Guard.ByHand.
const (
	Off      = "off"
	Watch    = "watch"
	Enforce  = "enforce"
	Ignore   = "ignore"
	Report   = "report"
	Kick     = "kick"
	Withdraw = "withdraw"
)

// Guard is what is kept as it is, and what is done about those who come past the bot.
type Guard struct {
	Mode      string                // Off, Watch or Enforce
	JoinRule  string                // empty: not kept
	Levels    map[string]room.Level // by the name in m.room.power_levels, "events.<type>" and "notifications.room" too
	Intruders string                // Ignore, Report or Kick: people who joined uninvited while the door stood open
	ByHand    string                // Ignore, Report or Withdraw: invitations made past the bot that the policy would refuse
}

// Pending is what becomes of invitations that nobody answers.
type Pending struct {
	ExpireAfter  time.Duration
	RemindBefore time.Duration // before that
}

// defaults is the document of a policy that sets nothing.
func defaults() Document {
	const day = 24 * time.Hour
	return Document{
		Whom:     Whom{IPLiterals: true},
		Quota:    Quota{Person: Rate{Per: day}, Room: Rate{Per: day}, Server: Rate{Per: day}},
		Approval: Approval{Votes: 1, Level: 50, Expires: 2 * day},
		Knocks:   Knocks{Level: 50, Breaker: Rate{Per: 10 * time.Minute}},
		Guard:    Guard{Mode: Off, Intruders: Ignore, ByHand: Ignore},
	}
}
