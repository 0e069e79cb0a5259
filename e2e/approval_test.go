package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// court is a room whose invitations need approval, with people who may give it.
type court struct {
	*stage
	asker  *harness.Account
	judges []*harness.Account
}

// newCourt makes a room in which so many votes of three moderators decide.
func newCourt(t *testing.T, votes int, policy m) *court {
	t.Helper()
	return newCourtOf(t, newStage(t, true), votes, policy)
}

func newCourtOf(t *testing.T, s *stage, votes int, policy m) *court {
	t.Helper()
	c := &court{stage: s, asker: s.Account("asker")}
	c.room = s.BotRoom(s.owner, harness.RoomOptions{Name: "Court", Power: m{"invite": 0}})
	for range 3 {
		c.judges = append(c.judges, s.Account("judge"))
	}
	for _, a := range append([]*harness.Account{c.asker}, c.judges...) {
		s.owner.Invite(c.room, a.ID)
		a.Join(c.room)
	}
	s.owner.Grant(c.room, 50, c.judges[0].ID, c.judges[1].ID, c.judges[2].ID)
	approval := m{"required": true, "votes": votes}
	for key, value := range policy {
		approval[key] = value
	}
	s.owner.SetState(c.room, "chat.usher.policy", "", m{"version": 1, "approval": approval})
	s.settled(s.owner, c.room)
	return c
}

// card waits for the notice with the question about a user.
func (s *stage) card(by *harness.Account, room id.RoomID, about id.UserID) id.EventID {
	by.Test().Helper()
	e := by.Await("a card about "+string(about), func(e harness.Event) bool {
		return e.Room == string(room) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), string(about)) &&
			strings.Contains(e.Field("body"), "To decide") && e.Relation().Type == ""
	})
	by.AwaitReaction(id.EventID(e.ID), s.Usher.Bot, "❌") // it is open
	return id.EventID(e.ID)
}

// cardSays waits until a card was edited to a text.
func (s *stage) cardSays(by *harness.Account, card id.EventID, text string) {
	by.Test().Helper()
	by.Await("the card to say "+text, func(e harness.Event) bool {
		r := e.Relation()
		return r.Type == "m.replace" && r.On == string(card) && strings.Contains(e.Field("body"), text)
	})
}

// told waits for a notice in reply to a command that says a text.
func (s *stage) told(by *harness.Account, command id.EventID, text string) {
	by.Test().Helper()
	by.Await("a reply that says "+text, func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && e.Relation().ReplyTo == string(command) && strings.Contains(e.Field("body"), text)
	})
}

// TestApproval: two of three decide; a withdrawn vote, the asker's own, a stranger's and one without power do not count.
func TestApproval(t *testing.T) {
	c := newCourt(t, 2, nil)
	said := c.asker.Say(c.room, "!invite "+string(c.guest.ID)+" a friend")
	card := c.card(c.owner, c.room, c.guest.ID)
	c.told(c.asker, said, "policy.approval.required")
	c.asker.React(c.room, card, "✅")

	first := c.judges[0].React(c.room, card, "✅")
	c.cardSays(c.owner, card, "1 × ✅, 0 × ❌")
	c.judges[0].Redact(c.room, first)
	c.judges[1].React(c.room, card, "✅") // would be the second, had the first not been withdrawn
	c.settled(c.judges[1], c.room)
	c.is(t, c.room, c.guest.ID, "leave", "")

	reply := c.judges[2].Say(c.room, "!approve 1")
	c.judges[2].AwaitReaction(reply, c.Usher.Bot, done)
	c.asker.AwaitReaction(said, c.Usher.Bot, done)
	c.is(t, c.room, c.guest.ID, "invite", c.asker.ID)
	c.told(c.asker, said, "✅ Accepted")
	c.cardSays(c.owner, card, "✅ Accepted")
	if n := c.acts(c.room); n != 1 {
		t.Errorf("%d requests, expected one", n)
	}
}

// TestApprovalDenied: the refusal and its reason are told; the card is closed then.
func TestApprovalDenied(t *testing.T) {
	c := newCourt(t, 1, nil)
	said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
	card := c.card(c.owner, c.room, c.guest.ID)
	c.refused(t, c.asker, c.room, "!approve 1", "vote.own")
	c.succeeds(c.judges[0], c.room, "!deny 1 not him again")
	c.told(c.asker, said, "not him again")
	c.cardSays(c.owner, card, "❌ Declined")
	c.refused(t, c.judges[1], c.room, "!approve 1", "vote.closed")
	c.judges[1].React(c.room, card, "✅")
	c.settled(c.judges[1], c.room)
	c.is(t, c.room, c.guest.ID, "leave", "")
	if n := c.acts(c.room); n != 0 {
		t.Errorf("%d requests, expected none", n)
	}
}

// TestApprovalElsewhere: a card in a moderators' room; power there is worth nothing, and a forged card is none.
func TestApprovalElsewhere(t *testing.T) {
	c := newCourt(t, 1, nil)
	office := c.BotRoom(c.owner, harness.RoomOptions{Name: "Office"})
	stranger := c.Account("stranger")
	for _, a := range []*harness.Account{c.judges[0], stranger} {
		c.owner.Invite(office, a.ID)
		a.Join(office)
	}
	c.owner.Grant(office, 100, stranger.ID)
	c.owner.SetState(c.room, "chat.usher.policy", "", m{"version": 1, "approval": m{"required": true, "room": office}})
	c.settled(c.owner, c.room)

	said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
	card := c.card(c.owner, office, c.guest.ID)
	forged := stranger.Say(office, fmt.Sprintf("🗳 #1: %s asks to invite %s.", c.asker.ID, c.guest.ID))
	c.judges[0].React(office, forged, "✅")
	c.refused(t, stranger, office, "!approve 1", "vote.power")
	stranger.React(office, card, "✅")
	c.settled(stranger, office)
	c.is(t, c.room, c.guest.ID, "leave", "")
	c.judges[0].React(office, card, "✅")
	c.asker.AwaitReaction(said, c.Usher.Bot, done)
	c.is(t, c.room, c.guest.ID, "invite", c.asker.ID)
}

// TestApprovalKilled: votes, cards and what they lead to survive kill -9: nobody is left out, nobody is invited twice, and the
// asker is told once.
func TestApprovalKilled(t *testing.T) {
	for name, passes := range map[string]bool{"before it takes effect": false, "after it took effect": true} {
		t.Run(name, func(t *testing.T) {
			c := newCourt(t, 2, nil)
			said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
			card := c.card(c.owner, c.room, c.guest.ID)
			c.judges[0].React(c.room, card, "✅")
			c.cardSays(c.owner, card, "1 × ✅")
			c.restart(t)

			killed := killAt(c.Usher, 1, passes)
			c.judges[1].React(c.room, card, "✅")
			harness.Wait(t, "the request to be killed at", killed)
			c.restart(t)
			c.asker.AwaitReaction(said, c.Usher.Bot, done)
			c.is(t, c.room, c.guest.ID, "invite", c.asker.ID)
			c.cardSays(c.owner, card, "✅ Accepted")
			c.told(c.asker, said, "✅ Accepted")
			c.settled(c.owner, c.room)
			c.settled(c.asker, c.room)
			if n := invitations(c.owner, c.room, c.guest.ID); n != 1 {
				t.Errorf("invited %d times", n)
			}
			told := c.asker.Seen(func(e harness.Event) bool {
				return e.Relation().ReplyTo == string(said) && strings.Contains(e.Field("body"), "Accepted")
			})
			if len(told) != 1 {
				t.Errorf("told %d times", len(told))
			}
		})
	}
}

// TestApprovalGone: a card that was removed, a command that was taken back, an asker who has left: nothing comes of it.
func TestApprovalGone(t *testing.T) {
	c := newCourt(t, 1, nil)
	t.Run("the card is removed", func(t *testing.T) {
		said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
		card := c.card(c.owner, c.room, c.guest.ID)
		c.owner.Redact(c.room, card)
		c.judges[0].Say(c.room, "!approve 1") // not every homeserver tells of a redaction
		c.told(c.asker, said, "approval.removed")
	})
	t.Run("the command is taken back", func(t *testing.T) {
		said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
		card := c.card(c.judges[1], c.room, c.guest.ID)
		c.asker.Redact(c.room, said)
		c.judges[0].React(c.room, card, "✅")
		c.cardSays(c.owner, card, "redacted")
	})
	t.Run("the asker leaves", func(t *testing.T) {
		other := c.Account("other")
		c.asker.Say(c.room, "!invite "+string(other.ID))
		card := c.card(c.owner, c.room, other.ID)
		c.asker.Do(http.MethodPost, "/v3/rooms/"+url.PathEscape(string(c.room))+"/leave", m{})
		c.cardSays(c.owner, card, "approval.asker_left")
	})
	c.is(t, c.room, c.guest.ID, "leave", "")
	if n := c.acts(c.room); n != 0 {
		t.Errorf("%d requests, expected none", n)
	}
}
