package room

import (
	"fmt"
	"strconv"
)

// String says in one English sentence, without an end mark, what decided. It holds identifiers from the room as they
// are: escape it before it is shown.
func (r Result) String() string {
	e := r.Evidence
	switch {
	case r.comparesPower() && e.Found == "":
		return r.explainPower()
	case r.comparesPower():
		return explanation(r.Rule) + ": the power levels that this depends on are malformed"
	case r.Rule == RuleUnknown:
		return fmt.Sprintf("it depends on %s, which is not known", e.Key)
	case e.Key.Type == typeMember:
		return fmt.Sprintf("%s: %s has membership %q", explanation(r.Rule), e.User, e.Found)
	case e.Found != "" && e.Wanted != "":
		return fmt.Sprintf("%s: %q where %q would do", explanation(r.Rule), e.Found, e.Wanted)
	case e.Found != "":
		return fmt.Sprintf("%s: %q", explanation(r.Rule), e.Found)
	case e.User != "":
		return fmt.Sprintf("%s: %s", explanation(r.Rule), e.User)
	}
	return explanation(r.Rule)
}

// explainPower words the comparison of two power levels.
func (r Result) explainPower() string {
	e := r.Evidence
	had, needed := e.Had.String(), e.Needed.String()
	switch r.Rule {
	case RuleKick, RuleUnban, RuleBan, RuleKickOutranked, RuleBanOutranked, RulePLUserOutranked:
		return fmt.Sprintf("%s: the sender has power %s, %s has %s", explanation(r.Rule), had, e.User, needed)
	case RulePLChangeAbove, RulePLGrantAbove:
		return fmt.Sprintf("%s: the sender has power %s, the value is %s", explanation(r.Rule), had, needed)
	}
	return fmt.Sprintf("%s: %s has power %s, %s is needed", explanation(r.Rule), e.User, had, needed)
}

// String returns a level in digits, or "infinite".
func (l Level) String() string {
	if l == Infinite {
		return "infinite"
	}
	return strconv.FormatInt(int64(l), 10)
}

// String names a piece of state for people.
func (k Key) String() string {
	if k.StateKey == "" {
		return k.Type
	}
	return k.Type + " of " + k.StateKey
}

// explanation is the table of what rules are about.
func explanation(r Rule) string {
	switch r {
	case RuleUnknownVersion:
		return "the room version is none that is known"
	case RuleFormatAction:
		return "this can't be judged"
	case RuleFormatContent:
		return "the content is no JSON object, has a key twice, or contradicts the action"
	case RuleFormatUserID, RulePLUserID:
		return "not a user ID"
	case RuleFormatCanonicalJSON:
		return "the content can't be canonical JSON"
	case RuleCreateMissing:
		return "the room has no valid m.room.create event"
	case RuleFederate:
		return "the room does not federate, and the sender is on another server"
	case RuleInvite:
		return "may invite"
	case RuleInviteSenderNotJoined:
		return "who invites must be in the room"
	case RuleInviteTargetJoined:
		return "the target is in the room already"
	case RuleInviteTargetBanned, RuleThirdPartyBanned:
		return "the target is banned"
	case RuleInvitePower:
		return "not enough power to invite"
	case RuleThirdParty:
		return "the third-party invite is signed as it should be"
	case RuleThirdPartyNoSigned:
		return "the third-party invite has nothing signed"
	case RuleThirdPartyNoFields:
		return "what is signed lacks mxid or token"
	case RuleThirdPartyMXIDMismatch:
		return "the third-party invite is for somebody else"
	case RuleThirdPartyTokenUnknown:
		return "the room has no third-party invite with this token"
	case RuleThirdPartySenderMismatch:
		return "the third-party invite was sent by somebody else"
	case RuleThirdPartyBadSignature:
		return "no signature of the third-party invite matches its keys"
	case RuleThirdPartySend:
		return "may send third-party invites"
	case RuleThirdPartySendPower:
		return "not enough power to send third-party invites"
	case RuleJoinFirst:
		return "the creator joins their new room"
	case RuleJoinNotSelf:
		return "nobody joins for somebody else"
	case RuleJoinBanned:
		return "banned"
	case RuleJoinInvited:
		return "invited, or in the room already"
	case RuleJoinNotInvited:
		return "an invitation is needed"
	case RuleJoinPublic:
		return "the room is public"
	case RuleJoinRuleUnknown:
		return "the join rule lets nobody in"
	case RuleJoinRestricted:
		return "somebody in the room who may invite authorises the join"
	case RuleJoinNoAuthoriser:
		return "nobody in the room authorises the join"
	case RuleJoinAuthoriserNotJoined:
		return "who authorises the join is not in the room"
	case RuleJoinAuthoriserPower:
		return "who authorises the join may not invite"
	case RuleKnock:
		return "may knock"
	case RuleKnockUnsupported:
		return "there is no knocking in this room version"
	case RuleKnockRule:
		return "the join rule does not let people knock"
	case RuleKnockNotSelf:
		return "nobody knocks for somebody else"
	case RuleKnockMembership:
		return "only who is neither in the room nor invited nor banned knocks"
	case RuleLeave:
		return "may leave"
	case RuleLeaveNotInRoom:
		return "there is nothing to leave"
	case RuleKick:
		return "may kick"
	case RuleKickSenderNotJoined:
		return "who kicks must be in the room"
	case RuleKickPower:
		return "not enough power to kick"
	case RuleKickOutranked, RuleBanOutranked:
		return "the target must have less power"
	case RuleUnban:
		return "may unban"
	case RuleUnbanPower:
		return "not enough power to unban"
	case RuleBan:
		return "may ban"
	case RuleBanSenderNotJoined:
		return "who bans must be in the room"
	case RuleBanPower:
		return "not enough power to ban"
	case RuleState:
		return "may send it"
	case RuleStateSenderNotJoined:
		return "who sends this must be in the room"
	case RuleStatePower:
		return "not enough power to send this"
	case RuleStateKey:
		return "this state belongs to somebody else"
	case RulePowerLevels:
		return "may change the power levels so"
	case RulePowerLevelsFirst:
		return "the room has no power levels yet"
	case RulePLNotInteger:
		return "not an integer, as this room version writes them"
	case RulePLUsersType:
		return "users is no object"
	case RulePLCreatorListed:
		return "creators have no entry in this room version"
	case RulePLGrantAbove:
		return "nobody gives more power than they have"
	case RulePLChangeAbove:
		return "nobody changes a level above their own"
	case RulePLUserOutranked:
		return "nobody changes the level of somebody who has as much power"
	case RuleAPIKickAbsent:
		return "the target is not in the room"
	case RuleAPIUnbanNotBanned:
		return "the target is not banned"
	case RuleAPIKnock:
		return "this homeserver lets nothing become of a knock but an invitation"
	case RuleAPIFederateTarget:
		return "the room does not federate, and the target is on another server"
	case RuleAPIRepeat:
		return "left already"
	}
	return string(r)
}
