package policy

import (
	"strings"

	"usher/room"
)

// Explanation is a decision as phrases: its reason, and its remedy.
type Explanation struct {
	Sentence room.Phrase
	Fix      room.Phrase // empty when nothing would help, or nothing needs to
}

// Phrase joins the sentence and the fix.
func (e Explanation) Phrase() room.Phrase { return room.Sentences(e.Sentence, e.Fix) }

// Explain explains a decision to the actor. The keys of its phrases are "why." with the reason code, and "fix." with the name of
// a remedy; where the bot's standing decided and the words differ then, ".performer" follows.
func Explain(q Question, d Decision) Explanation {
	if d.Verdict == room.Allow {
		return Explanation{Sentence: allowed(q, d)}
	}
	key := explanationKey(q, d)
	e := Explanation{Sentence: said("why.", key, explanations[key].args, q, d)}
	if fix := explanations[key].fix; fix != "" {
		e.Fix = said("fix.", sided(fix, remedies, d), remedies[sided(fix, remedies, d)], q, d)
	}
	switch key {
	case "unseen":
		e.Sentence = e.Sentence.Holding(statePhrase(d.Evidence.Key))
	case string(CodeMalformed):
		e.Sentence = e.Sentence.Holding(d.Fault.Phrase())
	}
	return e
}

// explanation lists the inputs of a sentence: the names of its arguments, with commas between, and the name of its remedy, if it has one.
type explanation struct{ args, fix string }

// explanations are the sentences by key: reason codes, and a few keys shared by several codes.
var explanations = map[string]explanation{
	"rules": {args: "action"}, "rules.performer": {args: "action"}, // any other code
	"power": {"action,needed,had", "raise"}, "power.performer": {"action,needed,had", "raise"},
	"outranked": {"action,target,needed,had", "stronger"}, "outranked.performer": {"action,target,needed,had", "stronger"},
	"unseen":         {fix: "again"},
	"withdraw.power": {"needed,had", "raise_kick"}, "withdraw.power.performer": {"needed,had", "raise_kick"},

	string(CodeNoAssertion):                 {"performer", "own_client"},
	string(CodeNoView):                      {fix: "invite_me"},
	string(CodeNotInvited):                  {args: "target"},
	string(CodeStands):                      {args: "target"},
	"create.missing":                        {},
	"federate":                              {fix: "home_account"},
	"api.federate_target":                   {fix: "home_account"},
	"api.kick_absent":                       {args: "target"},
	"api.unban_not_banned":                  {args: "target"},
	"leave.not_in_room":                     {args: "target"},
	"kick.sender_not_joined":                {fix: "members_only"},
	"ban.sender_not_joined":                 {fix: "members_only"},
	"state.sender_not_joined":               {fix: "members_only"},
	"invite.sender_not_joined":              {fix: "come_in"},
	"invite.target_joined":                  {args: "target"},
	"invite.target_banned":                  {"target", "unban"},
	"invite.power":                          {"needed,had", "raise"},
	"join.banned":                           {"target", "unban"},
	"join.not_invited":                      {"rule,target", "member_invites"},
	"join.rule_unknown":                     {"rule", "ask_member"},
	"join.not_self":                         {},
	"join.restricted":                       {"target", "member_invites"},
	"knock.unsupported":                     {fix: "ask_member"},
	"knock.rule":                            {"rule", "ask_member"},
	"knock.membership":                      {args: "target,found"},
	"invite.power.performer":                {"needed,had", "raise"},
	"invite.sender_not_joined.performer":    {fix: "come_in"},
	"kick.sender_not_joined.performer":      {fix: "members_only"},
	"ban.sender_not_joined.performer":       {fix: "members_only"},
	"state.sender_not_joined.performer":     {fix: "members_only"},
	"join.restricted.no_authoriser":         {"target", "member_invites"},
	"join.restricted.authoriser_not_joined": {"target", "member_invites"},
	"join.restricted.authoriser_power":      {"target", "member_invites"},

	string(CodeMalformed):   {"from", "mend"},
	string(CodeFacts):       {"fact", "again"},
	string(CodeNoDelegate):  {"field", "write_anew"},
	string(CodeNoAdmission): {"field", "write_anew"},
	string(CodeAskLevel):    {"needed,had", "change_policy"},
	string(CodeAskWho):      {fix: "ask_them"},
	string(CodeAskJoined):   {fix: "you_in"},
	string(CodeUserDenied):  {"target,match", "change_policy"},
	string(CodeHostDenied):  {"target,match", "change_policy"},
	string(CodeNotAllowed):  {"target", "change_policy"},
	string(CodeIPLiteral):   {"target,match", "change_policy"},
	string(CodeListed):      {"list,target,entity,reason", "list_keeper"},
	string(CodeRoomListed):  {"list", "stop_watching"},
	string(CodeAfterLeave):  {"target", "they_in"},
	string(CodeAfterNo):     {"target", "they_in"},
	string(CodeAfterKick):   {"target", "they_in"},
	string(CodeFull):        {fix: "change_policy"},
	string(CodeQuotaPerson): {"n,per", "next_in"},
	string(CodeQuotaServer): {"n,per", "next_in"},
	string(CodeQuotaRoom):   {"n,per", "next_in"},
	string(CodeLinksOff):    {fix: "change_policy"},
	string(CodeLinksLevel):  {"needed,had", "change_policy"},
	string(CodeLinksUses):   {"n", "change_policy"},
	string(CodeLinksAge):    {"per", "change_policy"},
	string(CodePlan):        {fix: "change_policy"},
	string(CodePlanAuthor):  {"field", "write_anew"},
	string(CodeApproval):    {"target", "waits"},
	string(CodeJoinDenied):  {args: "target"},
	string(CodeJoinFull):    {fix: "change_policy"},
	string(CodeNotAdmitted): {"target", "member_invites"},
	string(CodeLimitPerson): {"n,per", "next_in"},
	string(CodeLimitServer): {"n,per,target", "next_in"},
	string(CodeLimitAll):    {"n,per", "next_in"},
	string(CodeLimitJoins):  {"n,per", "next_in"},
}

// remedies are the names of the arguments of each remedy.
var remedies = map[string]string{
	"again": "", "own_client": "", "invite_me": "", "unban": "", "stronger": "", "member_invites": "", "ask_member": "", "members_only": "",
	"home_account": "", "mend": "", "ask_them": "", "list_keeper": "", "stop_watching": "", "waits": "", "write_anew": "",
	"come_in": "", "come_in.performer": "performer",
	"raise": "needed,action", "raise.performer": "needed,action,performer", "raise_kick": "needed", "raise_kick.performer": "needed,performer",
	"change_policy": "field", "you_in": "wait", "they_in": "wait", "next_in": "wait",
}

// sided is the key for the deciding side, where a table has one for it.
func sided[V any](key string, table map[string]V, d Decision) string {
	if _, has := table[key+".performer"]; has && d.Side == SidePerformer {
		return key + ".performer"
	}
	return key
}

// explanationKey finds the sentence of a decision without permission.
func explanationKey(q Question, d Decision) string {
	code := string(d.Code)
	_, own := explanations[code]
	membership := strings.HasPrefix(code, "invite") || strings.HasPrefix(code, "join") || strings.HasPrefix(code, "knock")
	switch {
	case Withdraws(q.Action) && d.Code == room.RuleKickPower:
		code = "withdraw.power"
	case own:
	case strings.HasPrefix(code, "performer.") || strings.HasPrefix(code, "unknown"):
		code = "unseen"
	case strings.HasSuffix(code, ".outranked") && !membership:
		code = "outranked"
	case strings.HasSuffix(code, ".power") && !membership:
		code = "power"
	default:
		code = "rules"
	}
	return sided(code, explanations, d)
}

// said makes a phrase with the arguments of its sentence.
func said(kind, key, args string, q Question, d Decision) room.Phrase {
	p := room.Phrase{Key: kind + key}
	for name := range strings.FieldsFuncSeq(args, func(r rune) bool { return r == ',' }) {
		p = p.With(name, argument(name, q, d))
	}
	return p
}

// allowed explains an allowed action, or one done already.
func allowed(q Question, d Decision) room.Phrase {
	switch {
	case d.Code == CodeAlready || d.Code == CodeAlreadyJoined:
		return said("why.", string(d.Code), "target", q, d)
	case d.Code == CodeUnsent:
		return said("allow.", "unsent", "target", q, d)
	case q.Own():
		return said("allow.", "self", "target,action", q, d)
	}
	by := "actor"
	switch {
	case d.Code == CodeDelegate && q.Action == ActionWithdraw:
		by = "delegate.withdraw"
	case d.Code == CodeDelegate:
		by = "delegate"
	case q.Performer != q.Actor:
		by = "bot"
	case q.Action == room.Invite || Withdraws(q.Action): // the bot has no commands for other actions
		by = "through"
	}
	return said("allow.", by, "action", q, d)
}
