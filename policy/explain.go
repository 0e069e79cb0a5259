package policy

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Explanation is a decision in words: what rules it, and what would change it. Both are plain text and hold user ids as they
// are: whoever shows them escapes them.
type Explanation struct {
	Sentence string // one sentence
	Fix      string // what would help; empty when nothing would, or nothing needs to
}

// String joins the sentence and the fix.
func (e Explanation) String() string {
	return strings.TrimSpace(e.Sentence + " " + e.Fix)
}

// maxSentence bounds a sentence, in bytes: it holds what rooms and lists say, and is on record for each of thousands of people.
const maxSentence = 1000

// Explain puts a decision into words for the actor.
func Explain(q Question, d Decision) Explanation {
	e := explain(q, d)
	if len(e.Sentence) > maxSentence {
		e.Sentence = strings.ToValidUTF8(e.Sentence[:maxSentence], "") + "…"
	}
	return e
}

func explain(q Question, d Decision) Explanation {
	w := wording{q: q, d: d, who: "you", be: "you are", have: "you have"}
	if d.Side == SidePerformer {
		w.who, w.be, w.have = "I", "I am", "I have"
	}
	code := string(d.Code)
	switch {
	case d.Verdict == room.Allow:
		return w.allowed()
	case strings.HasPrefix(code, "policy."):
		return w.policy()
	case strings.HasPrefix(code, "performer.") || strings.HasPrefix(code, "unknown"):
		return w.own()
	case strings.HasPrefix(code, "withdraw."), Withdraws(q.Action) && code == "kick.power":
		return w.withdrawal()
	case strings.HasPrefix(code, "invite"):
		return w.invite()
	case strings.HasPrefix(code, "join") || strings.HasPrefix(code, "knock"):
		return w.join()
	case strings.HasSuffix(code, ".power") || strings.HasSuffix(code, ".outranked"):
		return w.power()
	}
	return w.other()
}

// wording holds what the sentences share.
type wording struct {
	q             Question
	d             Decision
	who, be, have string
}

// capital gives a sentence its capital letter.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// level words a power level.
func level(l room.Level) string {
	if l == room.Infinite {
		return "that of a room creator"
	}
	return fmt.Sprint(int64(l))
}

// verb words an action.
func verb(a room.ActionType) string {
	switch a {
	case room.SetJoinRules:
		return "change the join rule"
	case room.SetPowerLevels:
		return "change the power levels"
	case room.ThirdParty:
		return "invite by e-mail"
	case ActionWithdraw, ActionExpire:
		return "withdraw the invitation of"
	}
	return string(a)
}

func (w wording) allowed() Explanation {
	target := string(w.q.Target)
	switch w.d.Code {
	case CodeAlready:
		return Explanation{target + " is invited already.", ""}
	case CodeAlreadyJoined:
		return Explanation{target + " is in the room already.", ""}
	}
	by := "you"
	switch {
	case w.d.Code == CodeDelegate && w.q.Action == ActionWithdraw:
		by = "me, since I sent it for you, and this room's policy has me invite for its members"
	case w.d.Code == CodeDelegate:
		by = "me, since this room's policy has me invite for its members"
	case w.q.Performer != w.q.Actor:
		by = "me, since you may do it yourself and I have the power"
	case w.q.Performer != w.q.Target && w.q.Action != room.Join:
		by = "you, through me"
	}
	if w.q.Own() {
		return Explanation{fmt.Sprintf("%s may %s.", target, verb(w.q.Action)), ""}
	}
	return Explanation{fmt.Sprintf("Allowed: %s would be sent by %s.", article(w.q.Action), by), ""}
}

func article(a room.ActionType) string {
	if Withdraws(a) {
		return "the withdrawal"
	}
	if a == room.Invite || a == room.Unban {
		return "an " + string(a)
	}
	return "a " + string(a)
}

// own words what Usher itself stands in the way of.
func (w wording) own() Explanation {
	switch w.d.Code {
	case CodeNoAssertion:
		return Explanation{"I may not act for " + string(w.q.Performer) + ".",
			"Join with your own client, or ask your homeserver's operator to allow it (puppet)."}
	case CodeNoView:
		return Explanation{"I can't see that room.", "Invite me there first, and let me join."}
	}
	return Explanation{fmt.Sprintf("I could not find out %s, so I can't tell.", thing(w.d.Evidence.Key)), "Try again in a moment."}
}

// thing words a piece of state.
func thing(k room.Key) string {
	switch k.Type {
	case "m.room.member":
		return k.StateKey + "'s membership"
	case "m.room.power_levels":
		return "the room's power levels"
	case "m.room.join_rules":
		return "the room's join rule"
	case "m.room.create":
		return "how the room was created"
	case EventType:
		return "the room's policy"
	}
	return "the state " + k.Type
}

func (w wording) invite() Explanation {
	target, ev := string(w.q.Target), w.d.Evidence
	switch w.d.Code {
	case "invite.sender_not_joined":
		fix := "Join it first."
		if w.d.Side == SidePerformer {
			fix = "Invite " + string(w.q.Performer) + " to it first."
		}
		return Explanation{capital(w.be) + " not in that room, and only its members may invite.", fix}
	case "invite.target_joined":
		return Explanation{target + " is in the room already.", ""}
	case "invite.target_banned":
		return Explanation{target + " is banned from the room.", "Somebody with the power to ban must unban them first."}
	case "invite.power":
		return Explanation{fmt.Sprintf("Inviting needs power level %s here, and %s %s.", level(ev.Needed), w.have, level(ev.Had)),
			w.raise("invite", ev)}
	}
	return w.other()
}

// raise says who could be given which power.
func (w wording) raise(what string, ev room.Evidence) string {
	user := w.q.Actor
	if w.d.Side == SidePerformer {
		user = w.q.Performer
	}
	return fmt.Sprintf("An admin can raise %s to %s, or lower what it takes to %s.", pronoun(w, user), level(ev.Needed), what)
}

func pronoun(w wording, user id.UserID) string {
	if w.d.Side == SidePerformer {
		return "me (" + string(user) + ")"
	}
	return "you"
}

func (w wording) join() Explanation {
	target := string(w.q.Target)
	switch w.d.Code {
	case "join.banned":
		return Explanation{target + " is banned from the room.", "Somebody with the power to ban must unban them first."}
	case "join.not_invited":
		return Explanation{fmt.Sprintf("The room takes only people who are invited (join rule %s), and %s is not.", rule(w.d.Evidence), target),
			"Ask a member to invite them."}
	case "join.rule_unknown":
		return Explanation{fmt.Sprintf("The room's join rule (%s) lets nobody join.", rule(w.d.Evidence)), "Ask a member for an invitation."}
	case "join.not_self":
		return Explanation{"People can only join for themselves.", ""}
	case "join.restricted.no_authoriser", "join.restricted.authoriser_not_joined", "join.restricted.authoriser_power", "join.restricted":
		return Explanation{"The room takes members of certain other rooms, and no local member with the power to invite vouches for " + target + ".",
			"Ask a member to invite them."}
	case "knock.unsupported":
		return Explanation{"Rooms of this version know no knocking.", "Ask a member for an invitation."}
	case "knock.rule":
		return Explanation{fmt.Sprintf("The room's join rule (%s) takes no knocks.", rule(w.d.Evidence)), "Ask a member for an invitation."}
	case "knock.membership":
		return Explanation{fmt.Sprintf("%s can't knock: their membership is %s.", target, w.d.Evidence.Found), ""}
	}
	return w.other()
}

func rule(ev room.Evidence) string {
	if ev.Found == "" {
		return "invite"
	}
	return ev.Found
}

// power words the rules on kicks, bans and levels that power decides.
func (w wording) power() Explanation {
	ev, what := w.d.Evidence, verb(w.q.Action)
	if strings.HasSuffix(string(w.d.Code), ".outranked") {
		return Explanation{fmt.Sprintf("To %s somebody, one must stand above them; %s has power level %s, and %s %s.",
			what, w.q.Target, level(ev.Needed), w.have, level(ev.Had)), "Ask somebody with more power."}
	}
	return Explanation{fmt.Sprintf("To %s needs power level %s here, and %s %s.", what, level(ev.Needed), w.have, level(ev.Had)),
		w.raise(what, ev)}
}

func (w wording) other() Explanation {
	switch w.d.Code {
	case "create.missing":
		return Explanation{"The room has no creation event that I can see, so nothing is allowed there.", ""}
	case "federate", room.RuleAPIFederateTarget:
		return Explanation{"This room is closed to other servers (m.federate is false).", "Use an account on the room's own server."}
	case "kick.sender_not_joined", "ban.sender_not_joined", "state.sender_not_joined":
		return Explanation{capital(w.be) + " not in that room.", "Only its members may do that."}
	case "leave.not_in_room", room.RuleAPIKickAbsent:
		return Explanation{string(w.q.Target) + " is not in the room.", ""}
	case room.RuleAPIUnbanNotBanned:
		return Explanation{string(w.q.Target) + " is not banned.", ""}
	}
	whom := either(w.who == "I", "me", w.who)
	return Explanation{fmt.Sprintf("The room's rules don't let %s %s.", whom, verb(w.q.Action)), ""}
}
