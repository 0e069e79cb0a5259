package room

import (
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// The rules are cited by their numbers in room version 12, which has them all. Earlier versions count otherwise: v12's
// rule 2 is new, so rule 5 (m.room.member) is rule 4 in v6–v11, where m.room.aliases is gone, and 5 in v1–v5. Rules which
// some versions lack are asked of the version's traits.

// Authorize judges an action by the authorization rules of the snapshot's room version
// (https://spec.matrix.org/latest/rooms/v12/#authorisation-rules). It goes through them from the top, and the first
// deciding rule gives the result; a rule which reads state which the snapshot does not know ends in Unknown.
func Authorize(snap *Snapshot, a Action) (r Result) {
	s := rules{snap}
	var content parsedContent
	isObject := a.parse(&content)
	if s.checkFormat(&a, &content, isObject, &r) || s.checkRoom(a.Sender, &r) {
		return r
	}
	switch a.Type {
	case Join:
		return s.authorizeJoin(&a, &content)
	case Invite:
		s.authorizeInvite(&a, &content, &r)
		return r
	case Leave, Kick, Unban:
		return s.authorizeLeave(&a)
	case Ban:
		return s.authorizeBan(&a)
	case Knock:
		return s.authorizeKnock(&a)
	}
	return s.authorizeState(&a, &content)
}

// rules applies the authorization rules to a snapshot, one method for each rule or part of one.
type rules struct{ *Snapshot }

// membership returns the membership after an action, empty for an action without a membership change.
func (t ActionType) Membership() string {
	switch t {
	case Join:
		return join
	case Invite:
		return invite
	case Leave, Kick, Unban:
		return leave
	case Ban:
		return ban
	case Knock:
		return knock
	}
	return ""
}

// eventType returns the type of the event sent by an action, empty for unknown actions.
func (t ActionType) EventType() string {
	switch t {
	case SetJoinRules:
		return TypeJoinRules
	case SetPowerLevels:
		return TypePowerLevels
	case ThirdParty:
		return TypeThirdParty
	}
	if t.Membership() != "" {
		return TypeMember
	}
	return ""
}

// parsedContent is an action's content and whether canonical JSON can hold it.
type parsedContent struct {
	exactjson.Value
	canonical bool
}

// parse reads an action's content; none is {}. It returns false if it is no JSON object.
func (a *Action) parse(c *parsedContent) bool {
	if len(a.Content) == 0 || string(a.Content) == "{}" {
		c.Value.Kind, c.canonical = exactjson.Object, true
		return true
	}
	var ok bool
	c.Value, c.canonical, ok = exactjson.Parse(a.Content)
	return ok && c.Kind == exactjson.Object
}

// checkFormat refuses content which no homeserver would take for an event, before the rules
// (https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu). It reports whether the format
// decided; the result is r then.
func (s rules) checkFormat(a *Action, content *parsedContent, isObject bool, r *Result) (decided bool) {
	membership := a.Type.Membership()
	switch {
	case a.Type.EventType() == "":
		*r = deny(RuleFormatAction, Evidence{Found: string(a.Type)})
	case !isObject:
		*r = deny(RuleFormatContent, Evidence{})
	case !ValidUserID(string(a.Sender)):
		*r = deny(RuleFormatUserID, Evidence{User: a.Sender})
	case membership != "" && !ValidUserID(string(a.Target)):
		*r = deny(RuleFormatUserID, Evidence{User: a.Target})
	case membership != "" && content.Find("membership") >= 0 && !content.Get("membership").Is(membership):
		*r = deny(RuleFormatContent, Evidence{Found: content.Get("membership").Raw, Wanted: membership})
	case s.traits.canonicalJSON && !content.canonical:
		*r = deny(RuleFormatCanonicalJSON, Evidence{})
	default:
		return false
	}
	return true
}

// checkRoom applies the rules before the event's type matters. It reports whether they decided; the result
// is r then.
func (s rules) checkRoom(sender id.UserID, r *Result) (decided bool) {
	create := Key{Type: TypeCreate}
	switch {
	case !s.knowsCreate:
		*r = unknown(create)
	// 2, and 2.4 of v1–v11: there must be an m.room.create event, not rejected.
	case !s.create.exists:
		*r = deny(RuleCreateMissing, Evidence{Key: create})
	case !s.supported:
		*r = Result{Unknown, RuleUnknownVersion, Evidence{Key: create, Found: string(s.version)}}
	case !s.create.valid:
		*r = deny(RuleCreateMissing, Evidence{Key: create, Found: foundMalformed})
	// 4. m.federate is false, and the domains of the sender and of the create event's sender differ: reject.
	case !s.create.federates && domain(string(sender)) != s.create.server:
		*r = deny(RuleFederate, Evidence{Key: create, User: sender, Found: domain(string(sender)), Wanted: s.create.server})
	default:
		return false
	}
	return true
}

// authorizeState applies rules 6 to 11 to the state events of actions.
func (s rules) authorizeState(a *Action, content *parsedContent) Result {
	stateKey := ""
	r := s.authorizeSend(a.Sender, a.Type.EventType(), &stateKey)
	// 10. m.room.power_levels.
	if r.Verdict == Allow && a.Type == SetPowerLevels {
		return s.authorizePowerLevels(a, content.Value)
	}
	return r
}

// CanSend judges sending an event of some type: a state event with an empty state key, or a message event. It knows
// nothing of the content, so m.room.power_levels is judged as far as rule 9 only, and membership not at all
// (RuleFormatAction); Authorize judges these. A redaction is judged as of one's own events.
func (s *Snapshot) CanSend(user id.UserID, eventType string, isState bool) Result {
	switch {
	case eventType == TypeMember || eventType == TypeCreate:
		return deny(RuleFormatAction, Evidence{Found: eventType})
	case !ValidUserID(string(user)):
		return deny(RuleFormatUserID, Evidence{User: user})
	}
	var r Result
	apply := rules{s}
	if apply.checkRoom(user, &r) {
		return r
	}
	if isState {
		stateKey := ""
		return apply.authorizeSend(user, eventType, &stateKey)
	}
	return apply.authorizeSend(user, eventType, nil)
}

// authorizeSend applies the rules for any event but m.room.create and m.room.member, up to the one for power levels.
func (s rules) authorizeSend(sender id.UserID, eventType string, stateKey *string) Result {
	// 4 of v1–v5. m.room.aliases is for the server in its state key, in the room or not.
	if s.traits.aliases && eventType == TypeAliases {
		if stateKey == nil || *stateKey != domain(string(sender)) {
			return deny(RuleStateKey, Evidence{User: sender, Wanted: domain(string(sender))})
		}
		return allow(RuleState, Evidence{User: sender})
	}
	// 6. The sender's membership is not join: reject.
	m, known := s.Membership(sender)
	if !known {
		return unknown(MemberKey(sender))
	}
	if m != join {
		return deny(RuleStateSenderNotJoined, membershipEvidence(sender, m, join))
	}
	levels := Key{Type: TypePowerLevels}
	power, _ := s.power(sender)
	if !s.knowsLevels {
		return unknown(levels)
	}
	// 7. m.room.third_party_invite: allow if and only if the sender has the invite level.
	if eventType == TypeThirdParty {
		var r Result
		s.requirePower(sender, inviteLevel, RuleThirdPartySend, RuleThirdPartySendPower, &r)
		return r
	}
	// 8. The required power level is above the sender's: reject.
	required := s.eventLevel(eventType, stateKey != nil)
	e := powerEvidence(sender, power, required)
	if !power.reaches(required) {
		return deny(RuleStatePower, e)
	}
	// 9. The state key starts with @ and is not the sender: reject.
	if stateKey != nil && strings.HasPrefix(*stateKey, "@") && *stateKey != string(sender) {
		return deny(RuleStateKey, Evidence{User: sender, Found: *stateKey, Wanted: string(sender)})
	}
	// 11. Otherwise, allow.
	return allow(RuleState, e)
}

// NeededToSend returns the least power level needed for a state event of a type, and whether it is known.
func (s *Snapshot) NeededToSend(eventType string) (needed Level, known bool) {
	if !s.knowsLevels || !s.supported {
		return 0, false
	}
	l := s.eventLevel(eventType, true)
	return l.value, l.state == given
}
