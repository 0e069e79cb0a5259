package policy

import (
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// Reason codes of joins.
const (
	CodeJoinDenied  room.Rule = "policy.join.deny"         // the fields that deny hold for joins, and one of them does
	CodeJoinFull    room.Rule = "policy.join.max_members"  // the room has enough members
	CodeNotAdmitted room.Rule = "policy.join.not_admitted" // the join rules leave it to Usher, and the policy does not admit the user
)

// allowSpamChecker is the type of an entry in restricted join rules: the homeserver asks its antispam service, and admits the users
// whom the service lets through. It is in no version of the specification.
const allowSpamChecker = "fi.mau.spam_checker"

// JoinKeys names the state needed for DecideJoin and Asks.
func JoinKeys(user id.UserID) []room.Key {
	return []room.Key{{Type: room.TypeCreate}, powerLevels, joinRules, room.MemberKey(user), Key()}
}

// Asks reports whether the join rules of a room leave it to the antispam service whether a user without an invitation comes in. They let
// members of the rooms among in as well.
func Asks(s *room.Snapshot, user id.UserID) (asks bool, among []id.RoomID, known bool) {
	event, known := s.Event(joinRules)
	membership, knows := s.Membership(user)
	if !known || !knows {
		return false, nil, false
	}
	if event == nil || membership == "invite" || membership == "join" {
		return false, nil, true
	}
	if rule := exactjson.Text(event.Content, "join_rule"); rule != "restricted" && rule != "knock_restricted" {
		return false, nil, true
	}
	for _, entry := range exactjson.Get(event.Content, "allow").Items {
		asks = asks || entry.Get("type").Is(allowSpamChecker)
		if other := entry.Get("room_id").Text(); entry.Get("type").Is("m.room_membership") && isRoomID(other) {
			among = append(among, id.RoomID(other))
		}
	}
	return asks, among, true
}

// DecideJoin judges a join by the fields below join. The rules of the room are the homeserver's business. Users with the power to change the
// policy always pass. A policy that can't be read decides nothing. The decision tells nothing about entries of lists: strangers see it.
func DecideJoin(s *room.Snapshot, user id.UserID, p *InForce, f Facts) Decision {
	d := Decision{Verdict: room.Allow, Code: room.Rule(room.Join), Policy: p.Event()}
	c := check{s: s, q: Question{Action: room.Join, Actor: user, Performer: user, Target: user}, p: p, d: &p.Document, f: f}
	if p.Fault() != nil {
		return Decision{Verdict: room.Unknown, Code: CodeMalformed, Side: SidePolicy, Policy: p.Event()}
	}
	power, known := s.Power(user)
	needed, knows := s.NeededToSend(EventType)
	if known && knows && power >= needed {
		return d
	}
	if no := c.facts(); no != nil {
		no.Side = SidePolicy
		return *no
	}
	no := Decision{Side: SidePolicy}
	switch {
	case c.d.Join.Deny && (c.denied() != nil || c.listed() != nil):
		no.Code, no.Field = CodeJoinDenied, "join.deny"
	case c.d.Join.MaxMembers > 0 && f.Members >= c.d.Join.MaxMembers:
		no.Code, no.Field = CodeJoinFull, "join.max_members"
	default:
		return d
	}
	from, _ := p.From(no.Field)
	no.From, no.Policy = from.Room, from.Event
	if !known || !knows { // the user may be one of those who always pass
		no.Verdict = room.Unknown
	}
	return no
}
