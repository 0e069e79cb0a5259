package room

import "maunium.net/go/mautrix/id"

// Rule 5: m.room.member. 5.2, the signature of the authorising server, is assumed to be valid: a homeserver adds it.

// isBanned reads a membership. A malformed one counts as a ban, so that it opens nothing.
func isBanned(membership string) bool { return membership == ban || membership == "" }

// authorizeJoin is 5.3: membership is join.
func (s *Snapshot) authorizeJoin(a *Action, content parsedContent) Result {
	// 5.3.1. The only previous event is the create event, and the state key is the creator: allow. (So anybody may send
	// the creator's first join.)
	if a.PrevIsCreate && a.Target == s.create.creator {
		return allow(RuleJoinFirst, Evidence{Key: Key{Type: typeCreate}, User: a.Target})
	}
	// 5.3.2. The sender is not the state key: reject.
	if a.Sender != a.Target {
		return deny(RuleJoinNotSelf, Evidence{User: a.Sender, Wanted: string(a.Target)})
	}
	// 5.3.3. The sender is banned: reject.
	m, known := s.Membership(a.Sender)
	if !known {
		return unknown(memberKey(a.Sender))
	}
	if isBanned(m) {
		return deny(RuleJoinBanned, membershipEvidence(a.Sender, m, invite))
	}
	rule, known := s.JoinRule()
	if !known {
		return unknown(Key{Type: typeJoinRules})
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
		return allow(RuleJoinPublic, Evidence{Key: Key{Type: typeJoinRules}, Found: rule, User: a.Sender})
	}
	// 5.3.7. Otherwise, reject.
	return deny(RuleJoinRuleUnknown, Evidence{Key: Key{Type: typeJoinRules}, Found: orMalformed(rule), Wanted: public, User: a.Sender})
}

// authoriser returns the user in whose name a server vouches for a restricted join; empty: nobody.
func authoriser(content node) id.UserID {
	user, _ := content.get("join_authorised_via_users_server").str()
	return id.UserID(user)
}

// authorizeRestricted is 5.3.5.2: the authorising user must be in the room and have the invite level. Of the two,
// membership is tested first, as homeservers do.
func (s *Snapshot) authorizeRestricted(content parsedContent) Result {
	user := authoriser(content.node)
	if user == "" {
		return deny(RuleJoinNoAuthoriser, Evidence{Key: Key{Type: typeJoinRules}, Found: s.joinRule, Wanted: public})
	}
	m, known := s.Membership(user)
	if !known {
		return unknown(memberKey(user))
	}
	if m != join {
		return deny(RuleJoinAuthoriserNotJoined, membershipEvidence(user, m, join))
	}
	r, ok := s.requirePower(user, inviteLevel, RuleJoinAuthoriserPower)
	if !ok {
		return r
	}
	return allow(RuleJoinRestricted, r.Evidence)
}

// requirePower checks a user against a named level. If ok is false the result is final, else it holds the evidence.
func (s *Snapshot) requirePower(user id.UserID, named int, rule Rule) (r Result, ok bool) {
	levels := Key{Type: typePowerLevels}
	if !s.knows(levels) {
		return unknown(levels), false
	}
	power, _ := s.power(user)
	needed := s.named(named)
	r = deny(rule, powerEvidence(user, power, needed))
	return r, power.reaches(needed)
}

// requireRank checks that the sender outranks the target, like requirePower. The levels must be known.
func (s *Snapshot) requireRank(a *Action, rule Rule) (r Result, ok bool) {
	power, _ := s.power(a.Sender)
	rank, _ := s.power(a.Target)
	r = deny(rule, powerEvidence(a.Target, power, rank))
	return r, power.outranks(rank)
}

// requireJoined checks that a user is in the room, like requirePower.
func (s *Snapshot) requireJoined(user id.UserID, rule Rule) (r Result, ok bool) {
	m, known := s.Membership(user)
	if !known {
		return unknown(memberKey(user)), false
	}
	return deny(rule, membershipEvidence(user, m, join)), m == join
}

// authorizeInvite is 5.4: membership is invite.
func (s *Snapshot) authorizeInvite(a *Action, content parsedContent) Result {
	// 5.4.1. The content has third_party_invite.
	if tpi := content.get("third_party_invite"); tpi.exists() {
		return s.authorizeThirdParty(a, tpi)
	}
	// 5.4.2. The sender's membership is not join: reject.
	if r, ok := s.requireJoined(a.Sender, RuleInviteSenderNotJoined); !ok {
		return r
	}
	// 5.4.3. The target's membership is join or ban: reject.
	m, known := s.Membership(a.Target)
	if !known {
		return unknown(memberKey(a.Target))
	}
	if m == join {
		return deny(RuleInviteTargetJoined, membershipEvidence(a.Target, m, leave))
	}
	if isBanned(m) {
		return deny(RuleInviteTargetBanned, membershipEvidence(a.Target, m, leave))
	}
	// 5.4.4. The sender has the invite level: allow. 5.4.5. Otherwise, reject.
	r, ok := s.requirePower(a.Sender, inviteLevel, RuleInvitePower)
	if !ok {
		return r
	}
	return allow(RuleInvite, r.Evidence)
}

// authorizeLeave is 5.5: membership is leave, which a kick, an unban and the refusal of a knock are too. The codes go
// by what it is to the target, whatever the action was called.
func (s *Snapshot) authorizeLeave(a *Action) Result {
	// 5.5.1. One's own: allow if and only if one is invited, joined or (v7 and up) knocking.
	if a.Sender == a.Target {
		m, known := s.Membership(a.Sender)
		if !known {
			return unknown(memberKey(a.Sender))
		}
		if m == invite || m == join || m == knock && s.traits.knock {
			return allow(RuleLeave, membershipEvidence(a.Sender, m, join))
		}
		return deny(RuleLeaveNotInRoom, membershipEvidence(a.Sender, m, join))
	}
	// 5.5.2. The sender's membership is not join: reject.
	if r, ok := s.requireJoined(a.Sender, RuleKickSenderNotJoined); !ok {
		return r
	}
	// 5.5.3. The target is banned, and the sender lacks the ban level: reject.
	m, known := s.Membership(a.Target)
	if !known {
		return unknown(memberKey(a.Target))
	}
	allowed := RuleKick
	if isBanned(m) {
		allowed = RuleUnban
		if r, ok := s.requirePower(a.Sender, banLevel, RuleUnbanPower); !ok {
			return r
		}
	}
	// 5.5.4. The sender has the kick level and outranks the target: allow. 5.5.5. Otherwise, reject.
	if r, ok := s.requirePower(a.Sender, kickLevel, RuleKickPower); !ok {
		return r
	}
	r, ok := s.requireRank(a, RuleKickOutranked)
	if !ok {
		return r
	}
	return allow(allowed, r.Evidence)
}

// authorizeBan is 5.6: membership is ban.
func (s *Snapshot) authorizeBan(a *Action) Result {
	// 5.6.1. The sender's membership is not join: reject.
	if r, ok := s.requireJoined(a.Sender, RuleBanSenderNotJoined); !ok {
		return r
	}
	// 5.6.2. The sender has the ban level and outranks the target: allow. 5.6.3. Otherwise, reject.
	if r, ok := s.requirePower(a.Sender, banLevel, RuleBanPower); !ok {
		return r
	}
	r, ok := s.requireRank(a, RuleBanOutranked)
	if !ok {
		return r
	}
	return allow(RuleBan, r.Evidence)
}

// authorizeKnock is 5.7: membership is knock, which is unknown (5.8) before v7.
func (s *Snapshot) authorizeKnock(a *Action) Result {
	if !s.traits.knock {
		return deny(RuleKnockUnsupported, Evidence{Key: Key{Type: typeCreate}, Found: string(s.version), Wanted: "7"})
	}
	// 5.7.1. The join rule is neither knock nor knock_restricted: reject.
	rule, known := s.JoinRule()
	if !known {
		return unknown(Key{Type: typeJoinRules})
	}
	if rule != knock && (rule != knockRestricted || !s.traits.knockRestricted) {
		return deny(RuleKnockRule, Evidence{Key: Key{Type: typeJoinRules}, Found: orMalformed(rule), Wanted: knock, User: a.Sender})
	}
	// 5.7.2. The sender is not the state key: reject.
	if a.Sender != a.Target {
		return deny(RuleKnockNotSelf, Evidence{User: a.Sender, Wanted: string(a.Target)})
	}
	// 5.7.3. The sender's membership is not ban, invite or join: allow. 5.7.4. Otherwise, reject.
	m, known := s.Membership(a.Sender)
	if !known {
		return unknown(memberKey(a.Sender))
	}
	if isBanned(m) || m == invite || m == join {
		return deny(RuleKnockMembership, membershipEvidence(a.Sender, m, leave))
	}
	return allow(RuleKnock, membershipEvidence(a.Sender, m, leave))
}
