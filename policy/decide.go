package policy

import (
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Reason codes of a room's policy. docs/policies.md has a remedy for each.
const (
	CodeMalformed   room.Rule = "policy.malformed"             // the policy event can't be read
	CodeFacts       room.Rule = "policy.unknown"               // a fact needed by the policy is not known
	CodeDelegate    room.Rule = "policy.delegate"              // allowed, since the policy lets the bot do it for members
	CodeNoDelegate  room.Rule = "policy.delegate.author"       // the author of the field lacks the power lent by it
	CodeNoAdmission room.Rule = "policy.knocks.author"         // the same for the fields which admit knocking users
	CodeAskLevel    room.Rule = "policy.ask.level"             // too little power to ask
	CodeAskWho      room.Rule = "policy.ask.who"               // neither ask.users nor ask.servers matches
	CodeAskJoined   room.Rule = "policy.ask.joined_for"        // not long enough in the room
	CodeUserDenied  room.Rule = "policy.whom.user_denied"      // deny_users
	CodeHostDenied  room.Rule = "policy.whom.server_denied"    // deny_servers
	CodeNotAllowed  room.Rule = "policy.whom.not_allowed"      // neither allow_users nor allow_servers
	CodeIPLiteral   room.Rule = "policy.whom.ip_literal"       // the server goes by an IP address
	CodeListed      room.Rule = "policy.whom.listed"           // a policy list bans them
	CodeRoomListed  room.Rule = "policy.whom.room_listed"      // a policy list bans the room
	CodeAfterLeave  room.Rule = "policy.whom.cooldown.leave"   // left too recently
	CodeAfterNo     room.Rule = "policy.whom.cooldown.decline" // declined too recently
	CodeAfterKick   room.Rule = "policy.whom.cooldown.kick"    // kicked too recently
	CodeFull        room.Rule = "policy.whom.max_members"      // the room has enough members
	CodeQuotaPerson room.Rule = "policy.quota.person"          // asked for too many
	CodeQuotaRoom   room.Rule = "policy.quota.room"            // too many were asked for in the room
	CodeQuotaServer room.Rule = "policy.quota.server"          // too many were asked for by people of their server
	CodeLinksOff    room.Rule = "policy.links.allow"           // no links into this room
	CodeLinksLevel  room.Rule = "policy.links.level"           // the maker of the link has too little power for links
	CodeLinksUses   room.Rule = "policy.links.max_uses"        // the link was used too often
	CodeLinksAge    room.Rule = "policy.links.max_age"         // the link is too old
	CodePlan        room.Rule = "policy.plan.allow"            // the room has not agreed to the plan
	CodePlanAuthor  room.Rule = "policy.plan.author"           // the author of plan.allow could not do it
	CodeApproval    room.Rule = "policy.approval.required"     // it waits for approval; the last check of all
)

// Read reads one policy event. One that somebody else than its sender redacted can't be read any more: redacting takes less power than writing, so it must
// not end a policy.
func Read(r id.RoomID, event *room.Event) Source {
	s := Source{Room: r, Event: event.ID, Author: event.Sender, For: writtenFor(event.Content), Size: len(event.Content)}
	var err error
	if s.Layer, err = Parse(event.Content); err != nil {
		errors.As(err, &s.Fault)
	}
	if event.RedactedBy != "" && event.RedactedBy != event.Sender {
		s.Layer, s.Fault = Layer{}, Malformed{{Problem: room.Say("fault.redacted", "by", event.RedactedBy)}}
	}
	return s
}

// Decide judges the actor by the rules of the room, then the performer, then the room's policy. Usher does nothing for an actor beyond the
// actor's own power, except where a policy delegates the power to invite. Only members of the room learn about faults of its policy
// and about open invitations. A nil policy is unknown.
func Decide(s *room.Snapshot, q Question, p *InForce, f Facts) Decision {
	if p == nil {
		return Decision{Verdict: room.Unknown, Code: room.RuleUnknown, Side: SidePolicy, Evidence: room.Evidence{Key: Key()}}
	}
	governs := q.Action == room.Invite && (p.Governs() || f.Itself) // without a policy, nothing has the bot do it by itself
	membership, _ := s.Membership(q.Actor)
	bad := p.Fault()
	if bad != nil && governs && membership == "join" {
		return Decision{Code: CodeMalformed, Side: SidePolicy, Fault: bad.Fault, From: bad.Room, Policy: bad.Event}
	}
	if already := alreadyTrue(s, q); already != "" {
		return Decision{Verdict: room.Allow, Code: already, Policy: p.Event()}
	}
	c := check{s: s, q: q, p: p, d: &p.Document, f: f}
	if code := notOpen(s, q); code != "" && membership == "join" {
		if q.Action == ActionWithdraw && len(f.Unsent) > 0 {
			return c.unsent()
		}
		return Decision{Code: code, Side: SidePolicy, Policy: p.Event()}
	}
	if q.Action == ActionWithdraw {
		d := c.withdrawal()
		if code := notOpen(s, q); code != "" && d.Verdict == room.Allow { // one's own knock, which the rules let anybody take back
			return Decision{Code: code, Side: SidePolicy, Policy: p.Event()}
		}
		return d
	}
	d := standings(s, q, governs && p.Document.Delegate)
	d.Policy = p.Event()
	if d.Verdict != room.Allow || !governs {
		return d
	}
	if d.Code == CodeDelegate {
		if no := c.lent("delegate"); no != nil {
			return *no
		}
	}
	if no := c.all(); no != nil {
		no.Side, no.Policy = SidePolicy, p.Event()
		if from, set := p.From(no.Field); set {
			no.From, no.Policy = from.Room, from.Event
		}
		return *no
	}
	return c.delegating(d)
}

// delegating puts the delegating policy event into a decision.
func (c check) delegating(d Decision) Decision {
	if from, set := c.p.From("delegate"); set && d.Code == CodeDelegate {
		d.Policy = from.Event
	}
	return d
}

// lent judges whether one of several fields may lend the performer's power to the action: the author of the field must have it, too.
func (c check) lent(paths ...string) *Decision {
	_, act := c.q.actions()
	var no *Decision
	for _, path := range paths {
		from, set := c.p.From(path)
		if !set {
			continue
		}
		switch result := c.p.Entitled(c.s, path, act); result.Verdict {
		case room.Allow:
			return nil
		case room.Unknown:
			return &Decision{Verdict: room.Unknown, Code: CodeFacts, Side: SidePolicy, Policy: from.Event, Evidence: result.Evidence, Missing: FactAuthors}
		default:
			no = &Decision{Code: CodeNoAdmission, Side: SidePolicy, Field: path, From: from.Room, Policy: from.Event, Evidence: result.Evidence}
		}
	}
	if no != nil && no.Field == "delegate" {
		no.Code = CodeNoDelegate
	}
	return no
}

// admitted judges whether the policy may admit a knocking user.
func (c check) admitted() *Decision {
	if !c.f.Itself || c.q.Action != room.Invite {
		return nil
	}
	return c.lent(admitting()...)
}

// standings judges the actor and the performer by the rules of the room.
func standings(s *room.Snapshot, q Question, delegate bool) Decision {
	actor, performer := q.actions()
	side, result, code := SideActor, standing(s, actor), room.Rule("")
	if delegate && lends(q, result) && q.Performer != q.Actor {
		code, result.Verdict = CodeDelegate, room.Allow
	}
	if result.Verdict == room.Allow && q.Performer != q.Actor {
		side, result = SidePerformer, standing(s, performer)
	}
	if result.Verdict == room.Allow {
		side = SideNone
	}
	if code == "" || result.Verdict != room.Allow {
		code = result.Rule
	}
	return Decision{Verdict: result.Verdict, Code: code, Side: side, Evidence: result.Evidence}
}

// lends reports whether delegation makes up for the actor's missing power.
func lends(q Question, actor room.Result) bool {
	if q.Action == ActionWithdraw {
		return LacksKick(actor.Verdict, actor.Rule)
	}
	return actor.Verdict == room.Deny && actor.Rule == room.RuleInvitePower
}

// check goes through a policy's fields. Each part returns nil where it has nothing against it.
type check struct {
	s *room.Snapshot
	q Question
	p *InForce
	d *Document
	f Facts
}

func (c check) all() *Decision {
	for _, part := range []func() *Decision{c.admitted, c.ask, c.link, c.facts, c.joined, c.denied, c.allowed, c.listed, c.cooldown, c.size, c.quota, c.approval} {
		if no := part(); no != nil {
			return no
		}
	}
	return nil
}

func (c check) ask() *Decision {
	if c.f.Itself || c.f.Unasked {
		return nil
	}
	power, known := c.s.Power(c.q.Actor)
	if !known {
		return &Decision{Verdict: room.Unknown, Code: room.RuleUnknown, Evidence: room.Evidence{Key: room.Key{Type: room.TypePowerLevels}}}
	}
	if power < c.d.Ask.Level {
		return &Decision{Code: CodeAskLevel, Field: "ask.level", Evidence: room.Evidence{Had: power, Needed: c.d.Ask.Level, User: c.q.Actor}}
	}
	if len(c.d.Ask.Users)+len(c.d.Ask.Servers) == 0 {
		return nil
	}
	_, byName := matchAny(c.d.Ask.Users, string(c.q.Actor))
	_, byServer := matchAny(c.d.Ask.Servers, c.q.Actor.Homeserver())
	if byName || byServer {
		return nil
	}
	return &Decision{Code: CodeAskWho, Field: either(len(c.d.Ask.Users) > 0, "ask.users", "ask.servers")}
}

// link judges the link by which somebody comes in.
func (c check) link() *Decision {
	use, l := c.f.Link, c.d.Links
	switch {
	case use == nil:
		return nil
	case !l.Allow:
		return &Decision{Code: CodeLinksOff, Field: "links.allow"}
	case l.MaxUses > 0 && use.Uses >= l.MaxUses:
		return &Decision{Code: CodeLinksUses, Field: "links.max_uses", Rate: Rate{Count: l.MaxUses}}
	case l.MaxAge > 0 && use.Age >= l.MaxAge:
		return &Decision{Code: CodeLinksAge, Field: "links.max_age", Rate: Rate{Per: l.MaxAge}}
	}
	if power, _ := c.s.Power(c.q.Actor); l.Level != 0 && power < l.Level { // ask has found the power known
		return &Decision{Code: CodeLinksLevel, Field: "links.level", Evidence: room.Evidence{Had: power, Needed: l.Level, User: c.q.Actor}}
	}
	return nil
}

// facts asks for all facts for the later checks, at once.
func (c check) facts() *Decision {
	missing := c.p.Requires(c.q.Action) &^ c.f.Have
	if c.f.Paid {
		missing &^= FactSpent
	}
	if c.f.Itself || c.f.Unasked {
		missing &^= FactJoined
	}
	if missing == 0 {
		return nil
	}
	return &Decision{Verdict: room.Unknown, Code: CodeFacts, Missing: missing}
}

func (c check) joined() *Decision {
	wait := c.f.Joined.Add(c.d.Ask.JoinedFor).Sub(c.f.Now)
	if c.d.Ask.JoinedFor == 0 || c.f.Itself || c.f.Unasked || wait <= 0 {
		return nil
	}
	return &Decision{Code: CodeAskJoined, Field: "ask.joined_for", Wait: wait}
}

func (c check) denied() *Decision {
	if len(c.p.denyUsers)+len(c.p.denyServers) == 0 && c.d.Whom.IPLiterals {
		return nil
	}
	if glob, hit := spellUser(c.q.Target).match(c.p.denyUsers); hit {
		return &Decision{Code: CodeUserDenied, Field: "whom.deny_users", Match: glob}
	}
	if glob, hit := spellServer(c.q.Target).match(c.p.denyServers); hit {
		return &Decision{Code: CodeHostDenied, Field: "whom.deny_servers", Match: glob}
	}
	if !c.d.Whom.IPLiterals && room.IsIPLiteral(c.q.Target.Homeserver()) {
		return &Decision{Code: CodeIPLiteral, Field: "whom.ip_literals", Match: ServerName(c.q.Target)}
	}
	return nil
}

// Denies reports whether the fields that deny name a user.
func (p *InForce) Denies(target id.UserID) bool {
	return check{q: Question{Target: target}, p: p, d: &p.Document}.denied() != nil
}

func (c check) allowed() *Decision {
	w := c.d.Whom
	if len(w.AllowUsers)+len(w.AllowServers) == 0 {
		return nil
	}
	_, byName := matchAny(w.AllowUsers, string(c.q.Target))
	_, byServer := matchAny(w.AllowServers, c.q.Target.Homeserver())
	if byName || byServer {
		return nil
	}
	return &Decision{Code: CodeNotAllowed, Field: either(len(w.AllowUsers) > 0, "whom.allow_users", "whom.allow_servers")}
}

func (c check) listed() *Decision {
	w := c.d.Whom
	switch {
	case len(w.Lists) == 0:
		return nil
	case c.f.RoomHit != nil:
		return &Decision{Code: CodeRoomListed, Field: "whom.lists", Hit: c.f.RoomHit}
	case c.f.Hit == nil:
		return nil
	}
	if c.p.Exempts(c.q.Target) {
		return nil
	}
	return &Decision{Code: CodeListed, Field: "whom.lists", Hit: c.f.Hit}
}

// Exempts reports whether the policy exempts a user from its policy lists.
func (p *InForce) Exempts(target id.UserID) bool {
	_, user := matchAny(p.Document.Whom.ExceptUsers, string(target))
	_, server := matchAny(p.Document.Whom.ExceptServers, target.Homeserver())
	return user || server
}

func (c check) cooldown() *Decision {
	rest := c.d.Whom.Cooldown
	for _, k := range []struct {
		code room.Rule
		last time.Time
		rest time.Duration
	}{{CodeAfterKick, c.f.Past.Kicked, rest.Kick}, {CodeAfterNo, c.f.Past.Declined, rest.Decline}, {CodeAfterLeave, c.f.Past.Left, rest.Leave}} {
		if k.rest > 0 && !k.last.IsZero() && k.last.Add(k.rest).After(c.f.Now) {
			return &Decision{Code: k.code, Field: string(k.code)[len("policy."):], Wait: k.last.Add(k.rest).Sub(c.f.Now)}
		}
	}
	return nil
}

func (c check) size() *Decision {
	if c.d.Whom.MaxMembers == 0 || c.f.Members < c.d.Whom.MaxMembers {
		return nil
	}
	return &Decision{Code: CodeFull, Field: "whom.max_members"}
}

func (c check) quota() *Decision {
	if c.f.Paid {
		return nil
	}
	for _, k := range []struct {
		code  room.Rule
		rate  Rate
		spent []time.Time
	}{
		{CodeQuotaPerson, c.d.Quota.Person, c.f.Spent.Person},
		{CodeQuotaServer, c.d.Quota.Server, c.f.Spent.Server},
		{CodeQuotaRoom, c.d.Quota.Room, c.f.Spent.Room},
	} {
		if _, grows, ok := k.rate.Take(k.spent, c.f.Now); !ok {
			return &Decision{Code: k.code, Field: string(k.code)[len("policy."):] + ".count", Wait: grows.Sub(c.f.Now), Rate: k.rate}
		}
	}
	return nil
}

func (c check) approval() *Decision {
	if !c.d.Approval.Required || c.f.Approved {
		return nil
	}
	return &Decision{Code: CodeApproval, Field: "approval.required"}
}

// Refusals lists the reason codes with which a policy denies.
func Refusals() []room.Rule {
	return []room.Rule{CodeMalformed, CodeFacts, CodeNoDelegate, CodeNoAdmission, CodeAskLevel, CodeAskWho, CodeAskJoined, CodeUserDenied, CodeHostDenied, CodeNotAllowed,
		CodeIPLiteral, CodeListed, CodeRoomListed, CodeAfterLeave, CodeAfterNo, CodeAfterKick, CodeFull, CodeQuotaPerson, CodeQuotaRoom, CodeQuotaServer, CodeLinksOff, CodeLinksLevel, CodeLinksUses, CodeLinksAge, CodePlan, CodePlanAuthor, CodeApproval,
		CodeJoinDenied, CodeJoinFull, CodeNotAdmitted}
}
