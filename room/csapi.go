package room

// Homeserver is a homeserver with known differences between its client API and the authorization rules.
type Homeserver string

// The homeservers with known differences.
const (
	AnyHomeserver Homeserver = "" // only the behaviour of all homeservers
	Synapse       Homeserver = "synapse"
	Dendrite      Homeserver = "dendrite"
)

// The rule codes of client APIs.
const (
	// RuleAPIKickAbsent: Kick is refused for users not in the room, though the rules allow it.
	RuleAPIKickAbsent Rule = "api.kick_absent"
	// RuleAPIUnbanNotBanned: Unban is refused for users without a ban, though to the rules it is a kick.
	RuleAPIUnbanNotBanned Rule = "api.unban_not_banned"
	// RuleAPIKnock: Dendrite does not let a knock be refused or taken back, nor a knocking user join a room made public.
	RuleAPIKnock Rule = "api.knock"
	// RuleAPIFederateTarget: with m.federate false, Synapse refuses targets on other servers too.
	RuleAPIFederateTarget Rule = "api.federate_target"
	// RuleAPIRepeat: Synapse answers 200 to a second leave of the same user, and sends nothing.
	RuleAPIRepeat Rule = "api.repeat"
)

// The errcodes of refusals (https://spec.matrix.org/latest/client-server-api/#standard-error-response).
const (
	codeForbidden = "M_FORBIDDEN"
	codeBadState  = "M_BAD_STATE"
	codeBadJSON   = "M_BAD_JSON"
	codeUnknown   = "M_UNKNOWN"
)

// Answer is the expected answer of a client API.
type Answer struct {
	Result
	Errcode string // of a refusal; empty unless the verdict is Deny
}

// ClientAPI predicts the answer of a homeserver's client API when the sender asks for an action by the endpoint made for
// it (/invite, /kick, …): the verdict of Authorize, except where the homeserver is known to be stricter or laxer.
func ClientAPI(s *Snapshot, a Action, hs Homeserver) Answer {
	r := Authorize(s, a)
	if r.Verdict == Unknown || a.Type.Membership() == "" {
		return answer(r)
	}
	switch hs {
	case Synapse:
		return s.synapse(a, r)
	case Dendrite:
		return s.dendrite(a, r)
	}
	one, other := s.synapse(a, r), s.dendrite(a, r)
	if one.Verdict == other.Verdict {
		return one
	}
	return answer(r)
}

// synapse applies Synapse's checks before and besides the rules.
func (s *Snapshot) synapse(a Action, r Result) Answer {
	m, _ := s.Membership(a.Target) // leave if unknown, which only happens to actions for which it does not matter
	e := membershipEvidence(a.Target, m, "")
	event := s.events[MemberKey(a.Target)]
	switch {
	case a.Type == Unban && m != ban && event != nil:
		return Answer{deny(RuleAPIUnbanNotBanned, e), codeBadState}
	case m == ban && a.Type == Kick && r.Verdict == Allow:
		return Answer{deny(RuleAPIKickAbsent, e), codeBadState}
	case m == ban && r.Verdict == Deny && (a.Type == Kick || a.Type == Invite || a.Type == Join || a.Type == Knock):
		return Answer{r, codeBadState}
	case a.Type == Kick && r.Verdict == Allow && (m == leave || m == ""):
		return Answer{deny(RuleAPIKickAbsent, e), codeForbidden}
	case a.Type == Leave && r.Rule == RuleLeaveNotInRoom && m == leave && event != nil && event.Sender == a.Sender:
		return Answer{Result: allow(RuleAPIRepeat, e)}
	case r.Verdict == Allow && r.Rule != RuleJoinFirst && !s.create.federates && domain(string(a.Target)) != s.create.server:
		e = Evidence{Key: Key{Type: TypeCreate}, User: a.Target, Found: domain(string(a.Target)), Wanted: s.create.server}
		return Answer{deny(RuleAPIFederateTarget, e), codeForbidden}
	}
	return answer(r)
}

// dendrite applies Dendrite's checks before and besides the rules. Where it is laxer than the rules (an unban needs the
// ban level alone, for one) it is not followed: other servers would reject the event.
func (s *Snapshot) dendrite(a Action, r Result) Answer {
	m, _ := s.Membership(a.Target)
	e := membershipEvidence(a.Target, m, "")
	switch {
	case r.Verdict != Allow:
	case m == knock && (a.Type == Kick || a.Type == Leave):
		return Answer{deny(RuleAPIKnock, e), codeUnknown}
	case m == knock && r.Rule == RuleJoinPublic:
		return Answer{deny(RuleAPIKnock, e), codeForbidden}
	case a.Type == Kick && a.Sender == a.Target && m != join:
		return Answer{deny(RuleKickSenderNotJoined, e), codeForbidden} // an invited user may decline by /leave only
	case a.Type == Kick && m != join && m != invite:
		return Answer{deny(RuleAPIKickAbsent, e), codeUnknown}
	case a.Type == Unban && m != ban:
		return Answer{deny(RuleAPIUnbanNotBanned, e), codeUnknown}
	}
	return answer(r)
}

// answer is a result with the usual errcode of refusals.
func answer(r Result) Answer {
	switch {
	case r.Verdict != Deny:
		return Answer{Result: r}
	case r.Rule == RuleFormatCanonicalJSON, r.Rule == RuleFormatContent, r.Rule == RuleFormatUserID, r.Rule == RuleFormatAction:
		return Answer{r, codeBadJSON}
	}
	return Answer{r, codeForbidden}
}
