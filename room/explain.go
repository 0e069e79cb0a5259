package room

import "strconv"

// Phrase tells the reason of the verdict. The keys are "check." with the shape of the evidence; the words for the rule itself are under
// "rule." with its code. It holds identifiers from the room as they are.
func (r Result) Phrase() Phrase {
	e := r.Evidence
	switch {
	case r.ComparesPower() && e.Found == "":
		return r.comparison()
	case r.ComparesPower():
		return Say("check.malformed", "rule", r.Rule)
	case r.Rule == RuleUnknown:
		return Say("check.unknown", "type", e.Key.Type, "of", e.Key.StateKey)
	case e.Key.Type == TypeMember:
		return Say("check.member", "rule", r.Rule, "user", e.User, "found", e.Found)
	case e.Found != "" && e.Wanted != "":
		return Say("check.instead", "rule", r.Rule, "found", e.Found, "wanted", e.Wanted)
	case e.Found != "":
		return Say("check.found", "rule", r.Rule, "found", e.Found)
	case e.User != "":
		return Say("check.user", "rule", r.Rule, "user", e.User)
	}
	return Say("check.plain", "rule", r.Rule)
}

// comparison is the phrase of a rule comparing two power levels.
func (r Result) comparison() Phrase {
	e := r.Evidence
	switch r.Rule {
	case RuleKick, RuleUnban, RuleBan, RuleKickOutranked, RuleBanOutranked, RulePLUserOutranked:
		return Say("check.outranked", "rule", r.Rule, "had", e.Had, "user", e.User, "needed", e.Needed)
	case RulePLChangeAbove, RulePLGrantAbove:
		return Say("check.value", "rule", r.Rule, "had", e.Had, "needed", e.Needed)
	}
	return Say("check.power", "rule", r.Rule, "user", e.User, "had", e.Had, "needed", e.Needed)
}

// String returns a level in digits, or "infinite".
func (l Level) String() string {
	if l == Infinite {
		return "infinite"
	}
	return strconv.FormatInt(int64(l), 10)
}
