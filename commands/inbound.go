package commands

import (
	"context"
	"strings"

	"usher/invites"
	"usher/room"
)

// InboundChanged takes over the rules about invitations to local users that an event in the operators' room sets, and words which count now. In
// any other room it concerns nobody.
func (r *Runner) InboundChanged(ctx context.Context, ev invites.Received) (reply Reply, err error) {
	if r.Inbound == nil || ev.Room != r.Inbound.Rules.Ops {
		return reply, nil
	}
	found, err := r.Inbound.Reload(ctx)
	if err != nil || found.By != ev.Sender { // another one is there by now, and its event comes
		return reply, err
	}
	reply.Mention = true
	switch {
	case len(found.Faults) > 0:
		reply.Text.Tell(room.Say("inbound.faults", "n", len(found.Faults)))
		for i, p := range found.Faults {
			if i == maxLines {
				reply.Text.Line().Say("more", "n", len(found.Faults)-i)
				break
			}
			reply.Text.Line().Tell(p)
		}
	case len(found.Fields) == 0:
		reply.Text.Say("inbound.restored")
	default:
		reply.Text.Say("inbound.replaced", "fields", strings.Join(found.Fields, ", "))
	}
	return reply, nil
}
