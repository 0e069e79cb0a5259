package commands

import (
	"encoding/json"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/cards"
	"usher/room"
)

// Reactions are the votes on offer at a card.
func Reactions(c invites.Card) []string {
	if c.Kind == invites.CardKnock || c.Kind == invites.CardServer {
		return []string{invites.ReactAccept, invites.ReactDecline, invites.ReactBan}
	}
	return []string{invites.ReactAccept, invites.ReactDecline}
}

// Card words an open card, with the votes so far.
func (n Notices) Card(c invites.Card, yes, no int64) (reply Reply) {
	reply.Aloud = true
	t := &reply.Text
	question(t, c)
	t.Line()
	switch c.Kind {
	case invites.CardKnock:
		t.Say("card.decide.knock", "prefix", n.Prefix, "number", c.Number)
	case invites.CardServer:
		t.Say("card.decide.server")
	default:
		t.Say("card.decide.approval", "prefix", n.Prefix, "number", c.Number)
	}
	t.Say("card.votes", "n", c.Votes, "level", int64(c.Level))
	if !c.ExpiresAt.IsZero() {
		t.Say("card.until", "at", moment(c.ExpiresAt))
	}
	if yes+no > 0 {
		t.Line().Say("card.so_far", "yes", yes, "no", no)
	}
	return reply
}

// question words the question of a card.
func question(t *Text, c invites.Card) {
	elsewhere := c.Room
	if c.ShownIn == c.Room {
		elsewhere = ""
	}
	switch c.Kind {
	case invites.CardKnock:
		t.Say("card.knock", "number", c.Number, "target", c.Target, "room", elsewhere)
	case invites.CardServer:
		t.Say("card.server", "number", c.Number, "server", c.Target.Homeserver())
	case invites.CardWithdraw:
		t.Say("card.withdraw", "number", c.Number, "n", len(c.Targets)).Tell(c.Remark)
		return
	case invites.CardMove:
		t.Tell(room.Say("card.move", "number", c.Number).Holding(c.Remark))
		return
	default:
		t.Say("card.approval", "number", c.Number, "actor", c.Actor, "target", c.Target, "room", elsewhere)
	}
	if c.Reason != "" {
		t.Say("card.reason", "reason", c.Reason)
	}
	switch {
	case c.ByLink():
		t.Say("card.link")
	case c.Kind == invites.CardApproval && c.Performer == c.Actor:
		t.Say("card.theirs")
	case c.Kind == invites.CardApproval:
		t.Say("card.mine")
	case !c.Remark.Empty():
		t.Tell(room.Say("card.remark").Holding(c.Remark))
	case c.Code == invites.CodeBreaker:
		t.Say("card.paused")
	}
}

// Reaction returns the target event of an m.reaction event, and its key.
func Reaction(raw json.RawMessage) (on id.EventID, key string) {
	relation := exactjson.Get(raw, "content", "m.relates_to")
	return id.EventID(relation.Get("event_id").Text()), relation.Get("key").Text()
}

// Closed words a closed card, with its row, if any.
func (n Notices) Closed(c invites.Card, row invites.Change) (reply Reply) {
	switch {
	case c.Kind != invites.CardConfirm:
		reply.Aloud = true // as the card was
		question(&reply.Text, c)
		reply.Text.Line()
	case c.State == invites.CardDeclined:
		reply.Text.Say("prune.left")
		return reply
	case c.State == invites.CardExpired:
		reply.Text.Say("prune.late")
		return reply
	}
	verdict(&reply.Text, c, row)
	return reply
}

// Verdict tells the asker of a card its outcome. It is empty where nobody has to be told.
func (n Notices) Verdict(c invites.Card, row invites.Change) (reply Reply) {
	if c.Kind != invites.CardApproval || c.ByLink() || c.Code == invites.CodeRedacted || c.Code == invites.CodeUnsent || c.Code == invites.CodeAskerLeft {
		return reply
	}
	reply.Mention, reply.Aloud = true, true
	reply.Text.Say("about", "target", c.Target)
	verdict(&reply.Text, c, row)
	return reply
}

// verdict words the outcome of a card.
func verdict(t *Text, c invites.Card, row invites.Change) {
	switch c.State {
	case invites.CardAccepted, invites.CardDeclined, invites.CardBanned:
	case invites.CardExpired:
		t.Say("card.expired").Reason(invites.CodeExpired)
		return
	default:
		t.Tell(room.Say("card.gone").Holding(cards.Gone(c.Code, c.Target))).Reason(c.Code)
		return
	}
	votes := ""
	if c.Votes > 1 {
		votes = fmt.Sprint(c.Votes)
	}
	t.Say("card.closed", "state", c.State, "by", c.ClosedBy, "votes", votes, "answer", c.Answer)
	switch {
	case row.ID == 0 || row.Status == invites.StatusDone && row.Detail.Empty(), row.Code == invites.CodeDenied:
	case row.Status == invites.StatusOpen:
		t.Say("card.on_its_way")
	default:
		t.Tell(room.Say("card.nothing").Holding(row.Detail)).Reason(row.Code)
	}
}

// when words a time for people in all time zones.
func when(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// Paused says: knocks come too fast to let people in at once.
func (n Notices) Paused(c invites.Card) (reply Reply) {
	reply.Text.Say("card.breaker", "prefix", n.Prefix).Reason(invites.CodeBreaker)
	return reply
}

// KnocksFull tells moderators that more users knock than cards show.
func (n Notices) KnocksFull(crowd *cards.Crowd) (reply Reply) {
	most, hour, server := crowd.Bounds()
	reply.Text.Say("card.full", "open", crowd.Open, "most", most, "hour", hour, "server", server, "prefix", n.Prefix).Reason("knock.full")
	return reply
}
