package commands

import (
	"context"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func pendingCommand() Command {
	return Command{
		Name: "pending", Level: User,
		About:  "Lists the invitations that nobody has answered yet, the oldest first.",
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
		reply.Text.Say("No invitation is open here.")
		return reply, nil
	}
	now := c.Clock.Now()
	reply.Text.Sayf("%s open:", plural(total, "invitation"))
	for _, e := range entries {
		reply.Text.Line().Code(string(e.Target)).Say(" by ").Code(string(e.Inviter)).Say(through(e.Way) + ", " + ago(now.Sub(e.At)))
		if rule.After > 0 {
			reply.Text.Say(", " + expires(e.At.Add(rule.After).Sub(now)))
		}
	}
	if total > len(entries) {
		reply.Text.Line().Sayf("… and %d more.", total-len(entries))
	}
	switch {
	case rule.After == 0:
	case rule.Lends:
		reply.Text.Line().Say("I don't withdraw them when they expire: whoever set that could not do it themselves, for lack of the level to kick.")
	case rule.Powerless:
		reply.Text.Line().Say("I lack the power to withdraw them when they expire: that needs the level to kick.")
	}
	return reply, nil
}

// Reminder is the content of the notice that invitations of a room expire soon. It mentions the people who are in the room
// and wanted them.
func Reminder(entries []invites.Invitation, rule invites.ExpiryRule, now time.Time) *event.MessageEventContent {
	var reply Reply
	inviters := []id.UserID{}
	reply.Text.Sayf("%s not answered yet:", plural(len(entries), "invitation"))
	for i, e := range entries {
		if !slices.Contains(inviters, e.Inviter) {
			inviters = append(inviters, e.Inviter)
		}
		if i == maxLines {
			reply.Text.Line().Sayf("… and %d more.", len(entries)-i)
		}
		if i < maxLines {
			reply.Text.Line().Code(string(e.Target)).Say(" by ").Code(string(e.Inviter)).Say(", " + expires(e.At.Add(rule.After).Sub(now)))
		}
	}
	content := reply.Notice(Message{})
	content.Mentions.UserIDs = inviters
	return content
}

// through says how an invitation came about, where that is not plain.
func through(w invites.Way) string {
	switch w {
	case invites.WayBot:
		return " (sent by me)"
	case invites.WayActor:
		return " (through me)"
	case invites.WayThirdParty:
		return " (by e-mail)"
	}
	return ""
}

func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

func expires(left time.Duration) string {
	if left <= 0 {
		return "expired"
	}
	return "expires in " + span(left)
}

// span words a duration by its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return plural(int(d/day), "day")
	case d >= 2*time.Hour:
		return plural(int(d/time.Hour), "hour")
	case d >= time.Minute:
		return plural(int(d/time.Minute), "minute")
	}
	return fmt.Sprintf("%d s", int(d/time.Second))
}
