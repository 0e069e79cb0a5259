package policy

import (
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// planAllow is the field by which a room agrees to plans.
const planAllow = "plan.allow"

// PlanUse is a plan that wants to change memberships or power levels in a room.
type PlanUse struct {
	Name    string    // as in the plan's file
	Manager id.UserID // the plan acts in this user's name, and with the user's rights; empty: in the bot's
}

// Agrees judges whether a room lets a plan do an action. The policy has to name the plan or its manager. A plan without a manager uses the
// bot's power, so the author of the field must be able to do the action, too. The snapshot knows the memberships of AuthorKeys. The rules of
// the room, and the rest of its policy, are judged apart.
func (p *InForce) Agrees(s *room.Snapshot, use PlanUse, a room.Action) Decision {
	no := Decision{Code: CodePlan, Side: SidePolicy, Field: planAllow, Policy: p.Event()}
	if bad := p.Fault(); bad != nil {
		return Decision{Code: CodeMalformed, Side: SidePolicy, Fault: bad.Fault, From: bad.Room, Policy: bad.Event}
	}
	from, set := p.From(planAllow)
	if !set {
		return no
	}
	no.From, no.Policy = from.Room, from.Event
	_, byName := matchAny(p.Document.Plan.Allow, use.Name)
	_, byManager := matchAny(p.Document.Plan.Allow, string(use.Manager))
	if !byName && !byManager {
		return no
	}
	if use.Manager != "" {
		return Decision{Verdict: room.Allow, Policy: from.Event}
	}
	result := p.Entitled(s, planAllow, a)
	if result.Verdict != room.Allow {
		if own := room.Authorize(s, a); own.Verdict == room.Deny { // the better reason: another author would not help
			return Decision{Code: own.Rule, Side: SidePerformer, Evidence: own.Evidence, Policy: from.Event}
		}
		no.Verdict, no.Code, no.Evidence = result.Verdict, CodePlanAuthor, result.Evidence
		return no
	}
	return Decision{Verdict: room.Allow, Policy: from.Event}
}

// PlanName reports whether a text can name a plan.
func PlanName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// isPlan reports whether an item of plan.allow is the name of a plan, which may have wildcards, or a user's id.
func isPlan(item string) bool {
	if strings.HasPrefix(item, "@") {
		return room.ValidUserID(item)
	}
	return PlanName(strings.NewReplacer("*", "", "?", "").Replace(item)) || item == "*"
}

// MatchUser reports whether one of some globs matches a user.
func MatchUser(globs []string, user id.UserID) bool {
	_, hit := matchAny(globs, string(user))
	return hit
}
