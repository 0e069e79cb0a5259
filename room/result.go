package room

import "maunium.net/go/mautrix/id"

// foundMalformed is Evidence.Found where state could not be read.
const foundMalformed = "malformed"

func allow(rule Rule, e Evidence) Result { return Result{Allow, rule, e} }

func deny(rule Rule, e Evidence) Result { return Result{Deny, rule, e} }

// unknown is the result of a rule which reads state missing from the snapshot.
func unknown(k Key) Result { return Result{Unknown, RuleUnknown, Evidence{Key: k}} }

// powerEvidence tells the power of a user and the power needed.
func powerEvidence(user id.UserID, had, needed level) Evidence {
	e := Evidence{Key: Key{Type: TypePowerLevels}, Had: had.value, Needed: needed.value, User: user}
	if had.state == malformed || needed.state == malformed {
		e.Found = foundMalformed
	}
	return e
}

// comparePower allows or denies, with the power of a user and the power needed.
func (r *Result) comparePower(user id.UserID, had, needed level, ok bool, allowed, denied Rule) bool {
	r.Verdict, r.Rule = Deny, denied
	if ok {
		r.Verdict, r.Rule = Allow, allowed
	}
	r.Evidence = powerEvidence(user, had, needed)
	return ok
}

// membershipEvidence tells the membership of a user and the membership needed.
func membershipEvidence(user id.UserID, found, wanted string) Evidence {
	return Evidence{Key: MemberKey(user), Found: orMalformed(found), Wanted: wanted, User: user}
}

func orMalformed(found string) string {
	if found == "" {
		return foundMalformed
	}
	return found
}

// String returns "allow", "deny" or "unknown".
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Unknown:
		return "unknown"
	}
	return "deny"
}

// ComparesPower reports whether Had and Needed are the evidence.
func (r Result) ComparesPower() bool {
	return r.Evidence.Key.Type == TypePowerLevels && r.Verdict != Unknown
}
