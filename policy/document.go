package policy

import (
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Document is a policy in force: the fields of version 1 with their values, as set or by default. The JSON behind it and the meaning of
// each field are in docs/policies.md; the path tags are the names in the JSON. The zero value of a limit or a list means: no such rule.
type Document struct {
	Delegate bool     `path:"delegate"` // the bot invites for people below the room's invite level
	Ask      Ask      `path:"ask"`
	Whom     Whom     `path:"whom"`
	Quota    Quota    `path:"quota"`
	Approval Approval `path:"approval"`
	Knocks   Knocks   `path:"knocks"`
	Guard    Guard    `path:"guard"`
	Pending  Pending  `path:"pending"`
	Links    Links    `path:"links"`
	Join     Join     `path:"join"`
	Plan     Plan     `path:"plan"`
	Language string   `path:"language"` // tag (BCP 47) of the language the bot speaks in the room; empty: the default one
	Pictures string   `path:"pictures"` // Light or Dark; empty: Light

	Invitation Invitation  `path:"invitation"`
	Welcome    Welcome     `path:"welcome"`
	NamedBy    []id.RoomID `path:"named_by"` // rooms and spaces whose policies may name this room
}

// Ask restricts the users with the right to ask for invitations. All of it must hold.
type Ask struct {
	Level     room.Level    `path:"level"`      // at least
	Users     []string      `path:"users"`      // user globs; with Servers: one of both must match, if either names anybody
	Servers   []string      `path:"servers"`    // server globs
	JoinedFor time.Duration `path:"joined_for"` // how long they must have been in the room
}

// Whom restricts the users to be invited.
type Whom struct {
	AllowUsers   []string    `path:"allow_users"` // user globs; with AllowServers: one of both must match, if either names anybody
	DenyUsers    []string    `path:"deny_users"`
	AllowServers []string    `path:"allow_servers"`
	DenyServers  []string    `path:"deny_servers"`
	IPLiterals   bool        `path:"ip_literals"` // people on servers named by an IP address may be invited
	Lists        []id.RoomID `path:"lists"`       // policy lists: a banned user is not invited, and nobody is invited into a banned room

	ExceptUsers   []string `path:"except_users"`   // user globs exempt from Lists
	ExceptServers []string `path:"except_servers"` // server globs exempt from Lists

	Cooldown   Cooldown `path:"cooldown"`
	MaxMembers int64    `path:"max_members"` // joined members from which on nobody more is invited
}

// Cooldown is how long somebody is left in peace, or kept out.
type Cooldown struct {
	Leave   time.Duration `path:"leave"`   // after leaving
	Decline time.Duration `path:"decline"` // after declining an invitation
	Kick    time.Duration `path:"kick"`    // after being kicked
}

// Rate is a number in a sliding window. Count 0 means no limit.
type Rate struct {
	Count int64         `path:"count"`
	Per   time.Duration `path:"per"`
}

// Quota is how many invitations may be asked for.
type Quota struct {
	Person Rate `path:"person"` // by one person in the room
	Room   Rate `path:"room"`   // in the room
	Server Rate `path:"server"` // by the people of one server in the room
}

// Approval is the consent needed for an invitation.
type Approval struct {
	Required bool          `path:"required"`
	Votes    int64         `path:"votes"`
	Level    room.Level    `path:"level"`   // power level from which on a vote counts, in the room asked about
	Room     id.RoomID     `path:"room"`    // where the card is shown; empty: the room itself
	Expires  time.Duration `path:"expires"` // how long a card stays open
}

// Knocks is the policy for knocking users.
type Knocks struct {
	Desk            bool        `path:"desk"`
	Room            id.RoomID   `path:"room"`           // where the card is shown; empty: the room itself
	Level           room.Level  `path:"level"`          // power level from which on a decision counts
	AcceptUsers     []string    `path:"accept_users"`   // user globs let in at once
	AcceptServers   []string    `path:"accept_servers"` // server globs let in at once
	AcceptMembersOf []id.RoomID `path:"accept_members_of"`
	Breaker         Rate        `path:"breaker"` // more knocks pause letting in at once
}

// Values of Pictures.
const (
	Light = "light"
	Dark  = "dark"
)

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

// Guard names the state to keep in the room, and the reaction to users coming in without the bot.
type Guard struct {
	Mode      string                `path:"mode"`      // Off, Watch or Enforce
	JoinRule  string                `path:"join_rule"` // empty: not kept
	Levels    map[string]room.Level `path:"levels"`    // by the name in m.room.power_levels, "events.<type>" and "notifications.room" too
	Intruders string                `path:"intruders"` // Ignore, Report or Kick: users joined uninvited while the door stood open
	ByHand    string                `path:"by_hand"`   // Ignore, Report or Withdraw: invitations made without the bot against this policy
}

// Pending is the policy for invitations without an answer.
type Pending struct {
	ExpireAfter  time.Duration `path:"expire_after"`
	RemindBefore time.Duration `path:"remind_before"` // before the expiry
	WithdrawOn   []string      `path:"withdraw_on"`   // Listed, Denied, InviterBanned and InviterLeft: what ends an open invitation
}

// Invitation is the form of the invitations that the bot sends for people.
type Invitation struct {
	Reason string `path:"reason"` // template of their reason, see Template; empty: the default one
}

// Values of Welcome.Where.
const (
	InRoom = "room"
	Direct = "direct"
)

// Welcome is the message for people who join after an invitation through the bot.
type Welcome struct {
	Text  string `path:"text"`  // template, see Cut; empty: none
	Where string `path:"where"` // InRoom or Direct
}

// Values of Pending.WithdrawOn.
const (
	Listed        = "listed"         // a policy list bans the invitee by now
	Denied        = "denied"         // whom.deny_users, whom.deny_servers or whom.ip_literals deny the invitee by now
	InviterBanned = "inviter_banned" // the inviter was banned from the room
	InviterLeft   = "inviter_left"   // the inviter has left the room, or was kicked
)

// Links is the policy for invite links. It is judged at each use, besides the right of the link's maker to invite.
type Links struct {
	Allow   bool          `path:"allow"`
	MaxUses int64         `path:"max_uses"` // of one link
	MaxAge  time.Duration `path:"max_age"`  // of a link
	Level   room.Level    `path:"level"`    // power level of the maker
}

// Join restricts the users who come in, where the homeserver asks about joins.
type Join struct {
	Deny       bool  `path:"deny"`        // the denying fields and the policy lists of Whom hold for joins as well
	MaxMembers int64 `path:"max_members"` // joined members from which on nobody more comes in
}

// Plan is the consent to declarative membership.
type Plan struct {
	Allow []string `path:"allow"` // names of plans, and users in whose name a plan may act; a name may have wildcards
}

// defaults is the document of an empty policy.
func defaults() Document {
	const day = 24 * time.Hour
	return Document{
		Whom:     Whom{IPLiterals: true},
		Quota:    Quota{Person: Rate{Per: day}, Room: Rate{Per: day}, Server: Rate{Per: day}},
		Approval: Approval{Votes: 1, Level: 50, Expires: 2 * day},
		Knocks:   Knocks{Level: 50, Breaker: Rate{Per: 10 * time.Minute}},
		Guard:    Guard{Mode: Off, Intruders: Ignore, ByHand: Ignore},
		Pending:  Pending{WithdrawOn: []string{Listed, InviterBanned}},
		Links:    Links{Allow: true},
		Welcome:  Welcome{Where: InRoom},
	}
}
