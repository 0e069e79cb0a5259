package dashboard

import (
	"net/http"

	"usher/invites"
	"usher/invites/ledger"
	"usher/policy"
)

// rule is a sentence of a policy.
type rule struct{ Sentence, Path, From string }

// overviewPage shows a room.
type overviewPage struct {
	*visit
	Said              string // what an action did
	Pending           int
	PendingLink       string
	Approvals, Knocks []question
	Hidden            int // questions that are left out
	Links             []shownLink
	Oldest            []invites.Invitation
	Expire            string   // when open invitations expire
	Unsent            []string // invitations that wait to be sent
	Fault             string   // why the policy can't be read
	Rules             []rule
}

// ApprovalCount is the number of invitations that wait for a decision.
func (p overviewPage) ApprovalCount() int { return len(p.Approvals) }

// KnockCount is the number of people who knock.
func (p overviewPage) KnockCount() int { return len(p.Knocks) }

// LinkCount is the number of invite links.
func (p overviewPage) LinkCount() int { return len(p.Links) }

// Bounds of an overview.
const (
	maxOldest = 10
	maxUnsent = 20
)

// overview shows what is going on in a room.
func (d *Dashboard) overview(v *visit) error {
	v.Title, v.Tab = v.RoomName, "overview"
	p := overviewPage{visit: v, Said: v.said(), PendingLink: v.At("ledger", "fate", string(invites.FatePending))}
	asked, err := v.questions()
	if err != nil {
		return err
	}
	if p.Hidden = max(0, len(asked)-maxCards); p.Hidden > 0 {
		asked = asked[:maxCards]
	}
	for _, q := range asked {
		if q.Knock {
			p.Knocks = append(p.Knocks, q)
		} else {
			p.Approvals = append(p.Approvals, q)
		}
	}
	if p.Links, err = v.links(); err != nil {
		return err
	}
	open, err := d.Ledger.Pending(v.r.Context(), v.User, v.Room, maxOldest)
	if err != nil {
		return err
	}
	p.tellPending(open)
	inForce, err := d.Policies.Of(v.r.Context(), v.Room, v.User)
	if err != nil {
		return err
	}
	p.tellPolicy(inForce)
	v.show(http.StatusOK, "room.html", p)
	return nil
}

// tellPending words open invitations.
func (p *overviewPage) tellPending(open ledger.Open) {
	p.Oldest, p.Pending = open.Invitations, open.Total
	switch {
	case open.Rule.After == 0:
	case open.Rule.Powerless, open.Rule.Lends:
		p.Expire = p.Say("dash.pending.stuck", "within", open.Rule.After)
	default:
		p.Expire = p.Say("dash.pending.expire", "within", open.Rule.After)
	}
	for i, row := range open.Unsent {
		if i == maxUnsent {
			p.Unsent = append(p.Unsent, p.Say("dash.unsent.more", "n", len(open.Unsent)-i))
			break
		}
		p.Unsent = append(p.Unsent, p.Say("dash.unsent.row", "target", row.Target, "actor", row.Actor, "at", p.Minute(row.CreatedAt)))
	}
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
			one.From = p.name(from.Room)
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
