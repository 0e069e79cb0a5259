package room

// The rule codes. Each names the first deciding rule; docs/check.md explains them to people.
const (
	// RuleUnknown: the verdict depends on state missing from the snapshot; Evidence.Key names it.
	RuleUnknown Rule = "unknown"
	// RuleUnknownVersion: the room version is not one of 1 to 12; Evidence.Found names it.
	RuleUnknownVersion Rule = "unknown.version"

	// RuleFormatAction: the action can't be judged.
	RuleFormatAction Rule = "format.action"
	// RuleFormatContent: the content is no JSON object, has a key twice, or contradicts the action.
	RuleFormatContent Rule = "format.content"
	// RuleFormatUserID: the sender or the target is no user ID.
	RuleFormatUserID Rule = "format.user_id"
	// RuleFormatCanonicalJSON: the content can't be canonical JSON (v6 and up).
	RuleFormatCanonicalJSON Rule = "format.canonical_json"

	RuleCreateMissing Rule = "create.missing" // no m.room.create event, or one rejected by rule 1
	RuleFederate      Rule = "federate"       // m.federate is false and the sender is on another server

	RuleInvite                Rule = "invite" // allowed
	RuleInviteSenderNotJoined Rule = "invite.sender_not_joined"
	RuleInviteTargetJoined    Rule = "invite.target_joined"
	RuleInviteTargetBanned    Rule = "invite.target_banned"
	RuleInvitePower           Rule = "invite.power"

	RuleThirdParty               Rule = "invite.3pid" // allowed
	RuleThirdPartyBanned         Rule = "invite.3pid.banned"
	RuleThirdPartyNoSigned       Rule = "invite.3pid.no_signed"
	RuleThirdPartyNoFields       Rule = "invite.3pid.no_fields"
	RuleThirdPartyMXIDMismatch   Rule = "invite.3pid.mxid_mismatch"
	RuleThirdPartyTokenUnknown   Rule = "invite.3pid.token_unknown"
	RuleThirdPartySenderMismatch Rule = "invite.3pid.sender_mismatch"
	RuleThirdPartyBadSignature   Rule = "invite.3pid.bad_signature"
	RuleThirdPartySend           Rule = "third_party_invite" // sending m.room.third_party_invite is allowed
	RuleThirdPartySendPower      Rule = "third_party_invite.power"

	RuleJoinFirst               Rule = "join.first" // allowed: the creator, right after m.room.create
	RuleJoinNotSelf             Rule = "join.not_self"
	RuleJoinBanned              Rule = "join.banned"
	RuleJoinInvited             Rule = "join.invited" // allowed: invited, or in the room already
	RuleJoinNotInvited          Rule = "join.not_invited"
	RuleJoinPublic              Rule = "join.public" // allowed
	RuleJoinRuleUnknown         Rule = "join.rule_unknown"
	RuleJoinRestricted          Rule = "join.restricted" // allowed: somebody in the room authorises it
	RuleJoinNoAuthoriser        Rule = "join.restricted.no_authoriser"
	RuleJoinAuthoriserNotJoined Rule = "join.restricted.authoriser_not_joined"
	RuleJoinAuthoriserPower     Rule = "join.restricted.authoriser_power"

	RuleKnock            Rule = "knock" // allowed
	RuleKnockUnsupported Rule = "knock.unsupported"
	RuleKnockRule        Rule = "knock.rule"
	RuleKnockNotSelf     Rule = "knock.not_self"
	RuleKnockMembership  Rule = "knock.membership"

	RuleLeave               Rule = "leave" // allowed
	RuleLeaveNotInRoom      Rule = "leave.not_in_room"
	RuleKick                Rule = "kick"                   // allowed
	RuleKickSenderNotJoined Rule = "kick.sender_not_joined" // for an unban too
	RuleKickPower           Rule = "kick.power"             // for an unban too
	RuleKickOutranked       Rule = "kick.outranked"         // for an unban too
	RuleUnban               Rule = "unban"                  // allowed: the target was banned
	RuleUnbanPower          Rule = "unban.power"
	RuleBan                 Rule = "ban" // allowed
	RuleBanSenderNotJoined  Rule = "ban.sender_not_joined"
	RuleBanPower            Rule = "ban.power"
	RuleBanOutranked        Rule = "ban.outranked"

	RuleState                Rule = "state" // allowed: any other event
	RuleStateSenderNotJoined Rule = "state.sender_not_joined"
	RuleStatePower           Rule = "state.power"
	RuleStateKey             Rule = "state.key" // the state key belongs to another user or server

	RulePowerLevels      Rule = "pl"       // allowed
	RulePowerLevelsFirst Rule = "pl.first" // allowed: the room has none yet
	RulePLNotInteger     Rule = "pl.not_integer"
	RulePLUserID         Rule = "pl.user_id"
	RulePLUsersType      Rule = "pl.users_type"
	RulePLCreatorListed  Rule = "pl.creator_listed"
	RulePLGrantAbove     Rule = "pl.grant_above_self"
	RulePLChangeAbove    Rule = "pl.change_above_self"
	RulePLUserOutranked  Rule = "pl.user_outranked"
)
