package commands

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/ledger"
	"usher/room"
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
	now := c.Clock.Now()
	tellUnsent(&reply.Text, open, now, c.Prefix)
	tellAddresses(&reply.Text, open, now)
	if err := (mailCall{c}).tellLetters(ctx, &reply.Text, in); err != nil {
		return Reply{}, err
	}
	if total == 0 {
		if reply.Text.Empty() {
			reply.Text.Say("pending.none")
		}
		return reply, nil
	}
	if !reply.Text.Empty() {
		reply.Text.Line()
	}
	reply.Text.Say("pending.head", "n", total)
	for _, e := range entries {
		left, listed := "", ""
		if slices.Contains(open.Listed, e.Target) {
			listed = "listed"
		}
		if rule.After > 0 {
			left = e.At.Add(rule.After).Sub(now).String()
		}
		reply.Text.Line().Say("pending.row", "target", e.Target, "inviter", e.Inviter, "way", through(e.Way), "age", now.Sub(e.At), "left", left,
			"listed", listed)
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

// tellUnsent lists the invitations that were not sent yet, each with its cause, and says what to do about them.
func tellUnsent(t *Text, open ledger.Open, now time.Time, prefix string) {
	if len(open.Unsent)+len(open.Asked) == 0 {
		return
	}
	t.Say("pending.unsent", "n", len(open.Unsent)+len(open.Asked))
	rows := make([]room.Phrase, 0, len(open.Unsent)+len(open.Asked))
	for _, card := range open.Asked {
		rows = append(rows, room.Say("pending.asked", "target", card.Target, "actor", card.Actor, "age", now.Sub(card.CreatedAt), "number", card.Number))
	}
	for _, row := range open.Unsent {
		p := room.Say("pending.waits", "target", row.Target, "actor", row.Actor, "age", now.Sub(row.CreatedAt), "wait", max(0, row.DueAt.Sub(now)))
		if !row.Detail.Empty() {
			p = p.Holding(row.Detail)
		}
		rows = append(rows, p)
	}
	tellSome(t, len(rows), func(i int) { t.Tell(rows[i]) })
	t.Line().Say("pending.stop", "prefix", prefix, "target", targetOf(open))
}

// tellAddresses lists the invitations of addresses.
func tellAddresses(t *Text, open ledger.Open, now time.Time) {
	if open.Addressed == 0 {
		return
	}
	if !t.Empty() {
		t.Line()
	}
	t.Say("pending.addresses", "n", open.Addressed)
	for _, a := range open.Addresses {
		t.Line().Say("pending.address", "name", a.Name, "sender", a.Sender, "age", now.Sub(a.At))
	}
	if open.Addressed > len(open.Addresses) {
		t.Line().Say("more", "n", open.Addressed-len(open.Addresses))
	}
}

// targetOf is the target of one of the invitations that were not sent yet.
func targetOf(open ledger.Open) id.UserID {
	if len(open.Asked) > 0 {
		return open.Asked[0].Target
	}
	return open.Unsent[0].Target
}

// Reminder is the notice about invitations soon to expire. It mentions their inviters.
func Reminder(entries []invites.Invitation, rule invites.ExpiryRule, now time.Time) (reply Reply) {
	reply.Aloud = true
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
