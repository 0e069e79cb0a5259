package commands

import (
	"context"
	"slices"
	"time"

	"usher/invites"
)

func pendingCommand() Command {
	return Command{
		Name: "pending", Level: User,
		Words: []string{"invitations"}, Loose: []string{"open", "waiting", "outstanding"},
		See:    []string{"whoinvited", "prune"},
		Params: []Param{inRoom()},
		Run:    runPending,
	}
}

func runPending(ctx context.Context, c *Call) (Reply, error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return Reply{}, err
	}
	open, err := c.Ledger.Pending(ctx, c.Message.Sender, in, maxLines)
	if err != nil {
		return Reply{}, err
	}
	entries, total, rule := open.Invitations, open.Total, open.Rule
	var reply Reply
	if total == 0 {
		reply.Text.Say("pending.none")
		return reply, nil
	}
	now := c.Clock.Now()
	reply.Text.Say("pending.head", "n", total)
	for _, e := range entries {
		left := ""
		if rule.After > 0 {
			left = e.At.Add(rule.After).Sub(now).String()
		}
		reply.Text.Line().Say("pending.row", "target", e.Target, "inviter", e.Inviter, "way", through(e.Way), "age", now.Sub(e.At), "left", left)
	}
	if total > len(entries) {
		reply.Text.Line().Say("more", "n", total-len(entries))
	}
	switch {
	case rule.After == 0:
	case rule.Lends:
		reply.Text.Line().Say("pending.lends")
	case rule.Powerless:
		reply.Text.Line().Say("pending.powerless")
	}
	return reply, nil
}

// Reminder is the notice about invitations soon to expire. It mentions their inviters.
func Reminder(entries []invites.Invitation, rule invites.ExpiryRule, now time.Time) (reply Reply) {
	reply.Text.Say("reminder.head", "n", len(entries))
	for i, e := range entries {
		if !slices.Contains(reply.Call, e.Inviter) {
			reply.Call = append(reply.Call, e.Inviter)
		}
		if i == maxLines {
			reply.Text.Line().Say("more", "n", len(entries)-i)
		}
		if i < maxLines {
			reply.Text.Line().Say("reminder.row", "target", e.Target, "inviter", e.Inviter, "left", e.At.Add(rule.After).Sub(now))
		}
	}
	return reply
}

// through words the way of an invitation, unless a member sent it.
func through(w invites.Way) string {
	switch w {
	case invites.WayBot, invites.WayActor, invites.WayThirdParty:
		return string(w)
	}
	return ""
}
