package policy

import (
	"fmt"
	"time"
)

// policy words what a room's policy says against it. The fix is the asker's; what admins can do is in docs/policies.md.
func (w wording) policy() Explanation {
	target, set := string(w.q.Target), "An admin can change the policy ("+w.d.Field+")."
	switch w.d.Code {
	case CodeMalformed:
		return Explanation{"The policy " + w.where() + " (" + EventType + ") can't be read: " + w.d.Fault + ".",
			"Somebody who may send that state event must mend it, or empty it by a policy reset; until then I invite nobody."}
	case CodeFacts:
		return Explanation{"The room's policy depends on " + missing(w.d.Missing) + ", which I could not find out, so I can't tell.", "Try again in a moment."}
	case CodeNoDelegate, CodeNoAdmission:
		return Explanation{"The policy has me invite (" + w.d.Field + "), but the one who wrote that may not invite here.", "Somebody with that power can write the policy anew."}
	case CodeAskLevel:
		return Explanation{fmt.Sprintf("Asking for invitations needs power level %s here, and you have %s.", level(w.d.Evidence.Needed), level(w.d.Evidence.Had)), set}
	case CodeAskWho:
		return Explanation{"The room's policy names those who may ask for invitations, and you are not among them.", "Ask one of them, or an admin."}
	case CodeAskJoined:
		return Explanation{"You have not been in the room for long enough to ask for invitations.", "You may in " + About(w.d.Wait) + "."}
	case CodeUserDenied, CodeHostDenied:
		return Explanation{"The room's policy keeps " + target + " out (" + w.d.Match + ").", set}
	case CodeNotAllowed:
		return Explanation{"The room's policy names those who may be invited, and " + target + " is not among them.", set}
	case CodeIPLiteral:
		return Explanation{"The server of " + target + " goes by an IP address (" + w.d.Match + "), and the room's policy takes no such servers.", set}
	case CodeListed:
		return w.listed()
	case CodeRoomListed:
		return Explanation{"A policy list that the room watches (" + string(w.d.Hit.List) + ") bans this room.", "An admin can stop watching it."}
	case CodeAfterLeave:
		return Explanation{target + " left the room not long ago, and the policy gives them rest.", "They may be invited in " + About(w.d.Wait) + "."}
	case CodeAfterNo:
		return Explanation{target + " declined not long ago, and the policy gives them rest.", "They may be invited in " + About(w.d.Wait) + "."}
	case CodeAfterKick:
		return Explanation{target + " was kicked from the room.", "They may be invited in " + About(w.d.Wait) + "."}
	case CodeFull:
		return Explanation{"The room has as many members as its policy allows.", set}
	case CodeQuotaPerson:
		return w.quota("You have asked for")
	case CodeQuotaServer:
		return w.quota("The people of your server have asked for")
	case CodeQuotaRoom:
		return w.quota("In this room there were")
	case CodeApproval:
		return Explanation{"Inviting " + target + " needs approval.", "It waits for the moderators."}
	}
	return w.other()
}

// where words which policy is meant.
func (w wording) where() string {
	if w.d.From == "" {
		return "of this room"
	}
	return "in " + string(w.d.From)
}

func (w wording) listed() Explanation {
	hit := w.d.Hit
	text := "A policy list that the room watches (" + string(hit.List) + ") bans " + string(w.q.Target)
	if hit.Entity != "" && hit.Entity != string(w.q.Target) {
		text += " (" + hit.Entity + ")"
	}
	if hit.Reason != "" {
		text += ": “" + hit.Reason + "”"
	}
	return Explanation{text + ".", "Only whoever keeps that list can change it; an admin can stop watching it."}
}

func (w wording) quota(who string) Explanation {
	return Explanation{fmt.Sprintf("%s %d invitations within %s, as many as the policy allows.", who, w.d.Rate.Count, Span(w.d.Rate.Per)),
		"The next one is possible in " + About(w.d.Wait) + "."}
}

// missing words facts.
func missing(f Fact) string {
	for _, k := range []struct {
		fact Fact
		what string
	}{
		{FactLists, "a policy list"}, {FactMembers, "how many members the room has"}, {FactJoined, "how long you have been in the room"},
		{FactPast, "when they were last in the room"}, {FactSpent, "how many invitations there were"},
		{FactAuthors, "what its author may do"},
	} {
		if f&k.fact != 0 {
			return k.what
		}
	}
	return "something"
}

// About words a time to wait, rounded up to what matters.
func About(d time.Duration) string {
	unit, name := time.Minute, "minute"
	switch {
	case d > 48*time.Hour:
		unit, name = 24*time.Hour, "day"
	case d > 2*time.Hour:
		unit, name = time.Hour, "hour"
	}
	n := (d + unit - 1) / unit
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}
