package dashboard

import (
	"net/http"

	"usher/invites"
	"usher/policy"
)

// rule is a sentence of a policy.
type rule struct{ Sentence, Path, From string }

// overviewPage shows a room.
type overviewPage struct {
	*visit
	Fault string // why the policy can't be read
	Rules []rule
}

// overview shows what is going on in a room.
func (d *Dashboard) overview(v *visit) error {
	v.Title, v.Tab = v.RoomName, "overview"
	p := overviewPage{visit: v}
	inForce, err := d.Policies.Of(v.r.Context(), v.Room, v.User)
	if err != nil {
		return err
	}
	p.tellPolicy(inForce)
	v.show(http.StatusOK, "room.html", p)
	return nil
}

// tellPolicy words a policy.
func (p *overviewPage) tellPolicy(inForce *policy.InForce) {
	if inForce == nil {
		return
	}
	if bad := inForce.Fault(); bad != nil {
		p.Fault = p.Tell(bad.Fault.Phrase())
	}
	for _, path := range inForce.Paths() {
		field, _ := policy.Lookup(path)
		from, _ := inForce.From(path)
		one := rule{Sentence: p.Tell(field.Phrase(&inForce.Document)), Path: path}
		if from.Room != p.Room {
			one.From = p.d.name(p.visit, from.Room)
		}
		if n := len(p.Rules); n == 0 || p.Rules[n-1].Sentence != one.Sentence { // of a rate, both fields have the same sentence
			p.Rules = append(p.Rules, one)
		}
	}
}

// fates are the fates to choose from.
func fates() []invites.Fate {
	return []invites.Fate{
		invites.FatePending, invites.FateAccepted, invites.FateDeclined, invites.FateWithdrawn, invites.FateExpired, invites.FateBanned, invites.FateRenewed, invites.FateUnseen,
	}
}
