package commands

import (
	"fmt"
	"strings"
	"time"

	"usher/invites"
	"usher/invites/cards"
)

// The reactions that are votes.
const (
	reactAccept  = "✅"
	reactDecline = "❌"
	reactBan     = "🚫"
)

// Choice reads a reaction on a card. Clients differ in whether they add a variation selector.
func Choice(key string) (invites.Choice, bool) {
	switch strings.TrimSuffix(key, "\ufe0f") {
	case reactAccept:
		return invites.Accept, true
	case reactDecline:
		return invites.Decline, true
	case reactBan:
		return invites.BanThem, true
	}
	return "", false
}

// Reactions are those that a card offers.
func Reactions(c invites.Card) []string {
	if c.Kind == invites.CardKnock {
		return []string{reactAccept, reactDecline, reactBan}
	}
	return []string{reactAccept, reactDecline}
}

// Card words an open card, with the votes so far.
func (d *Runner) Card(c invites.Card, yes, no int64) (reply Reply) {
	t := &reply.Text
	d.question(t, c)
	t.Line().Say("To decide, react ").Say(reactAccept + " or " + reactDecline)
	if c.Kind == invites.CardKnock {
		t.Say(" (or " + reactBan + " to decline and ban)")
	}
	t.Say(", or say ").Code(fmt.Sprintf("%sapprove %d", d.Prefix, c.Number)).Say(" or ")
	t.Code(fmt.Sprintf("%sdeny %d [reason]", d.Prefix, c.Number)).Say(". ")
	if c.Votes == 1 {
		t.Sayf("One vote decides, of somebody with power level %d or more in the room.", c.Level)
	} else {
		t.Sayf("%d votes that agree decide, of people with power level %d or more in the room.", c.Votes, c.Level)
	}
	if !c.ExpiresAt.IsZero() {
		t.Sayf(" Open until %s.", when(c.ExpiresAt))
	}
	if yes+no > 0 {
		t.Line().Sayf("So far: %d × %s, %d × %s.", yes, reactAccept, no, reactDecline)
	}
	return reply
}

// question words what a card asks.
func (d *Runner) question(t *Text, c invites.Card) {
	if c.Kind == invites.CardKnock {
		t.Sayf("🚪 #%d: ", c.Number).Code(string(c.Target)).Say(" knocks")
	} else {
		t.Sayf("🗳 #%d: ", c.Number).Code(string(c.Actor)).Say(" asks to invite ").Code(string(c.Target))
	}
	if c.ShownIn != c.Room {
		t.Say(" at the room ").Code(string(c.Room))
	}
	t.Say(".")
	if c.Reason != "" {
		t.Say(" Reason: “" + c.Reason + "”.")
	}
	switch {
	case c.Kind == invites.CardApproval && c.Performer == c.Actor:
		t.Say(" All other rules allow it; they would send it themselves.")
	case c.Kind == invites.CardApproval:
		t.Say(" All other rules allow it; I would send it.")
	case c.Remark != "":
		t.Say(" I would not have let them in: " + lower(told(c.Remark)))
	case c.Code == invites.CodeBreaker:
		t.Say(" Letting people in at once is paused, since many knock.")
	}
}

// Closed words a card that is closed, with the row that came of it, if any.
func (d *Runner) Closed(c invites.Card, row invites.Change) (reply Reply) {
	d.question(&reply.Text, c)
	reply.Text.Line()
	verdict(&reply.Text, c, row)
	return reply
}

// Verdict tells the one who asked what became of it; empty where nobody is to be told.
func (d *Runner) Verdict(c invites.Card, row invites.Change) (reply Reply) {
	if c.Kind != invites.CardApproval || c.Code == invites.CodeRedacted || c.Code == invites.CodeAskerLeft {
		return reply
	}
	reply.Mention = true
	reply.Text.Code(string(c.Target)).Say(": ")
	verdict(&reply.Text, c, row)
	return reply
}

// verdict words the outcome of a card.
func verdict(t *Text, c invites.Card, row invites.Change) {
	switch c.State {
	case invites.CardAccepted:
		t.Say("✅ Accepted")
	case invites.CardDeclined:
		t.Say("❌ Declined")
	case invites.CardBanned:
		t.Say("🚫 Declined and banned")
	case invites.CardExpired:
		t.Say("⌛ Nobody decided in time.").Reason(invites.CodeExpired)
		return
	default:
		t.Say("Not asked any more: " + lower(cards.Gone(c.Code))).Reason(c.Code)
		return
	}
	if c.ClosedBy != "" {
		t.Say(" by ").Code(string(c.ClosedBy))
		if c.Votes > 1 {
			t.Sayf(", the last of %d votes", c.Votes)
		}
	}
	if c.Answer != "" {
		t.Say(": “" + c.Answer + "”")
	}
	t.Say(".")
	switch {
	case row.ID == 0 || row.Status == invites.StatusDone && row.Detail == "", row.Code == invites.CodeDenied:
	case row.Status == invites.StatusOpen:
		t.Say(" It is on its way.")
	default:
		t.Say(" But nothing came of it: " + lower(told(row.Detail))).Reason(row.Code)
	}
}

// when words a time for people in all time zones.
func when(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// Paused tells that knocks come too fast to let people in at once.
func (d *Runner) Paused(c invites.Card) (reply Reply) {
	reply.Text.Say("⏸ Many people knock, so I let nobody in at once for now; each waits for a decision. ")
	reply.Text.Code(d.Prefix + "knocks").Say(" lists them. I go on by myself when it calms down.").Reason(invites.CodeBreaker)
	return reply
}
