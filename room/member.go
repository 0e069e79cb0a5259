package room

import (
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// Rule 5: m.room.member. 5.2, the signature of the authorising server, is assumed to be valid: a homeserver adds it.

// isBanned reads a membership. A malformed one counts as a ban, so it opens nothing.
func isBanned(membership string) bool { return membership == ban || membership == "" }

// authorizeJoin is 5.3: membership is join.
func (s rules) authorizeJoin(a *Action, content *parsedContent) Result {
	// 5.3.1. The only previous event is the create event, and the state key is the creator: allow. (So anybody may send
	// the creator's first join.)
	if a.PrevIsCreate && a.Target == s.create.creator {
		return allow(RuleJoinFirst, Evidence{Key: Key{Type: TypeCreate}, User: a.Target})
	}
	// 5.3.2. The sender is not the state key: reject.
	if a.Sender != a.Target {
		return deny(RuleJoinNotSelf, Evidence{User: a.Sender, Wanted: string(a.Target)})
	}
	// 5.3.3. The sender is banned: reject.
	m, known := s.Membership(a.Sender)
	if !known {
		return unknown(MemberKey(a.Sender))
	}
	if isBanned(m) {
		return deny(RuleJoinBanned, membershipEvidence(a.Sender, m, invite))
	}
	rule, known := s.JoinRule()
	if !known {
		return unknown(Key{Type: TypeJoinRules})
	}
	inside := m == invite || m == join
	switch {
	// 5.3.4. The join rule is invite or knock: allow the invited and the joined.
	case rule == invite, rule == knock && s.traits.knock:
		if inside {
			return allow(RuleJoinInvited, membershipEvidence(a.Sender, m, invite))
		}
		return deny(RuleJoinNotInvited, membershipEvidence(a.Sender, m, invite))
	// 5.3.5. The join rule is restricted or knock_restricted.
	case rule == restricted && s.traits.restricted, rule == knockRestricted && s.traits.knockRestricted:
		// 5.3.5.1. Allow the invited and the joined.
		if inside {
			return allow(RuleJoinInvited, membershipEvidence(a.Sender, m, invite))
		}
		return s.authorizeRestricted(content)
	// 5.3.6. The join rule is public: allow.
	case rule == public:
		return allow(RuleJoinPublic, Evidence{Key: Key{Type: TypeJoinRules}, Found: rule, User: a.Sender})
	}
	// 5.3.7. Otherwise, reject.
	return deny(RuleJoinRuleUnknown, Evidence{Key: Key{Type: TypeJoinRules}, Found: orMalformed(rule), Wanted: public, User: a.Sender})
}

// authoriser returns the user in the name of whom a server vouches for a restricted join; empty: nobody.
func authoriser(content exactjson.Value) id.UserID {
	user, _ := content.Get("join_authorised_via_users_server").Str()
	return id.UserID(user)
}

// authorizeRestricted is 5.3.5.2: the authorising user must be in the room and have the invite level. Of the two,
// membership is tested first, as homeservers do.
func (s rules) authorizeRestricted(content *parsedContent) (r Result) {
	user := authoriser(content.Value)
	if user == "" {
		return deny(RuleJoinNoAuthoriser, Evidence{Key: Key{Type: TypeJoinRules}, Found: s.joinRule, Wanted: public})
	}
	m, known := s.Membership(user)
	if !known {
		return unknown(MemberKey(user))
	}
	if m != join {
		return deny(RuleJoinAuthoriserNotJoined, membershipEvidence(user, m, join))
	}
	s.requirePower(user, inviteLevel, RuleJoinRestricted, RuleJoinAuthoriserPower, &r)
	return r
}

// requirePower checks a user against a named level: it allows or denies by the rules given. The result is r, and whether it allows
// is returned.
func (s rules) requirePower(user id.UserID, named int, allowed, denied Rule, r *Result) bool {
	if !s.knowsLevels {
		*r = unknown(Key{Type: TypePowerLevels})
		return false
	}
	power, _ := s.power(user)
	needed := s.named(named)
	return r.comparePower(user, power, needed, power.reaches(needed), allowed, denied)
}

// requireRank checks whether the sender outranks the target, as requirePower does. The power levels must be known.
func (s rules) requireRank(a *Action, allowed, denied Rule, r *Result) bool {
	power, _ := s.power(a.Sender)
	rank, _ := s.power(a.Target)
	return r.comparePower(a.Target, power, rank, power.outranks(rank), allowed, denied)
}

// requireJoined checks whether a user is in the room, and returns the answer; if not, the result is r.
func (s rules) requireJoined(user id.UserID, denied Rule, r *Result) bool {
	m, known := s.Membership(user)
	switch {
	case !known:
		*r = unknown(MemberKey(user))
	case m != join:
		*r = deny(denied, membershipEvidence(user, m, join))
	}
	return known && m == join
}

// authorizeInvite is 5.4: membership is invite.
func (s rules) authorizeInvite(a *Action, content *parsedContent, r *Result) {
	// 5.4.1. The content has third_party_invite.
	if content.Find("third_party_invite") >= 0 {
		*r = s.authorizeThirdParty(a, content.Get("third_party_invite"))
		return
	}
	// 5.4.2. The sender's membership is not join: reject.
	if !s.requireJoined(a.Sender, RuleInviteSenderNotJoined, r) {
		return
	}
	switch m, known := s.Membership(a.Target); {
	case !known:
		*r = unknown(MemberKey(a.Target))
	// 5.4.3. The target's membership is join or ban: reject.
	case m == join:
		*r = deny(RuleInviteTargetJoined, membershipEvidence(a.Target, m, leave))
	case isBanned(m):
		*r = deny(RuleInviteTargetBanned, membershipEvidence(a.Target, m, leave))
	// 5.4.4. The sender has the invite level: allow. 5.4.5. Otherwise, reject.
	default:
		s.requirePower(a.Sender, inviteLevel, RuleInvite, RuleInvitePower, r)
	}
}

// authorizeLeave is 5.5: membership is leave, which a kick, an unban and the refusal of a knock are too. The codes go
// by the effect on the target, not by the name of the action.
func (s rules) authorizeLeave(a *Action) (r Result) {
	// 5.5.1. One's own: allow if and only if one is invited, joined or (v7 and up) knocking.
	if a.Sender == a.Target {
		m, known := s.Membership(a.Sender)
		if !known {
			return unknown(MemberKey(a.Sender))
		}
		if m == invite || m == join || m == knock && s.traits.knock {
			return allow(RuleLeave, membershipEvidence(a.Sender, m, join))
		}
		return deny(RuleLeaveNotInRoom, membershipEvidence(a.Sender, m, join))
	}
	// 5.5.2. The sender's membership is not join: reject.
	if !s.requireJoined(a.Sender, RuleKickSenderNotJoined, &r) {
		return r
	}
	// 5.5.3. The target is banned, and the sender lacks the ban level: reject.
	m, known := s.Membership(a.Target)
	if !known {
		return unknown(MemberKey(a.Target))
	}
	allowed := RuleKick
	switch m {
	case "": // malformed: a ban, for all one can tell
		return deny(RuleUnbanPower, membershipEvidence(a.Target, m, leave))
	case ban:
		allowed = RuleUnban
		if !s.requirePower(a.Sender, banLevel, RuleUnban, RuleUnbanPower, &r) {
			return r
		}
	}
	// 5.5.4. The sender has the kick level and outranks the target: allow. 5.5.5. Otherwise, reject.
	if !s.requirePower(a.Sender, kickLevel, allowed, RuleKickPower, &r) {
		return r
	}
	s.requireRank(a, allowed, RuleKickOutranked, &r)
	return r
}

// authorizeBan is 5.6: membership is ban.
func (s rules) authorizeBan(a *Action) (r Result) {
	// 5.6.1. The sender's membership is not join: reject.
	if !s.requireJoined(a.Sender, RuleBanSenderNotJoined, &r) {
		return r
	}
	// 5.6.2. The sender has the ban level and outranks the target: allow. 5.6.3. Otherwise, reject.
	if !s.requirePower(a.Sender, banLevel, RuleBan, RuleBanPower, &r) {
		return r
	}
	s.requireRank(a, RuleBan, RuleBanOutranked, &r)
	return r
}

// authorizeKnock is 5.7: membership is knock, which is unknown (5.8) before v7.
func (s rules) authorizeKnock(a *Action) Result {
	if !s.traits.knock {
		return deny(RuleKnockUnsupported, Evidence{Key: Key{Type: TypeCreate}, Found: string(s.version), Wanted: "7"})
	}
	// 5.7.1. The join rule is neither knock nor knock_restricted: reject.
	rule, known := s.JoinRule()
	if !known {
		return unknown(Key{Type: TypeJoinRules})
	}
	if rule != knock && (rule != knockRestricted || !s.traits.knockRestricted) {
		return deny(RuleKnockRule, Evidence{Key: Key{Type: TypeJoinRules}, Found: orMalformed(rule), Wanted: knock, User: a.Sender})
	}
	// 5.7.2. The sender is not the state key: reject.
	if a.Sender != a.Target {
		return deny(RuleKnockNotSelf, Evidence{User: a.Sender, Wanted: string(a.Target)})
	}
	// 5.7.3. The sender's membership is not ban, invite or join: allow. 5.7.4. Otherwise, reject.
	m, known := s.Membership(a.Sender)
	if !known {
		return unknown(MemberKey(a.Sender))
	}
	if isBanned(m) || m == invite || m == join {
		return deny(RuleKnockMembership, membershipEvidence(a.Sender, m, leave))
	}
	return allow(RuleKnock, membershipEvidence(a.Sender, m, leave))
}

// DisplayName returns the display name in a member event; empty without one.
func DisplayName(member *Event) string { return exactjson.Text(member.Content, "displayname") }
