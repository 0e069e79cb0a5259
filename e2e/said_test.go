package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"usher/e2e/harness"
	"usher/e2e/homeserver"

	"maunium.net/go/mautrix/id"
)

// notified waits until somebody was notified of one of the bot's messages: push rules let it through. Dendrite has no default rule for
// mentions, so there the message itself has to mention them.
func (s *stage) notified(t *testing.T, who *harness.Account, text string) {
	t.Helper()
	if harness.Kind() != homeserver.Synapse {
		who.Await("a message that says "+text, func(e harness.Event) bool {
			return e.Sender == string(s.Usher.Bot) && e.Field("msgtype") == "m.text" && strings.Contains(e.Field("body"), text) && strings.Contains(string(e.Content), `"`+string(who.ID)+`"`)
		})
		return
	}
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(100 * time.Millisecond) {
		var page struct {
			Notifications []struct {
				Event harness.Event `json:"event"`
			} `json:"notifications"`
		}
		if err := json.Unmarshal(who.Do("GET", "/v3/notifications?only=highlight", nil).Body, &page); err != nil {
			t.Fatal(err)
		}
		for _, n := range page.Notifications {
			if n.Event.Sender == string(s.Usher.Bot) && strings.Contains(n.Event.Field("body"), text) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not notified of %q: %+v", who.ID, text, page)
		}
	}
}

// TestPeopleAreTold: a card notifies those who decide, its outcome the asker, by the homeserver's push rules.
func TestPeopleAreTold(t *testing.T) {
	c := newCourt(t, 1, nil)
	said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
	card := c.card(c.owner, c.room, c.guest.ID)
	c.notified(t, c.judges[0], "To decide")
	c.judges[0].React(c.room, card, "✅")
	c.told(c.asker, said, "✅ Accepted")
	c.notified(t, c.asker, "✅ Accepted")
}

// TestWaiting: an invitation to a server out of reach is pending, a second one is told of it, and it ends by !uninvite, by ❌ on the answer or
// by a ban.
func TestWaiting(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, TLSPort: tlsPort(t, 8448)})
	last := map[string]string{"uninvite": "before it was sent", "cross": "before it was sent", "ban": "is banned from the room"}
	for way, end := range map[string]func(guest string, status id.EventID){
		"uninvite": func(guest string, _ id.EventID) { s.succeeds(s.owner, s.room, "!uninvite "+guest) },
		"cross":    func(_ string, status id.EventID) { s.owner.React(s.room, status, "❌") },
		"ban":      func(guest string, _ id.EventID) { s.owner.Ban(s.room, id.UserID(guest)) },
	} {
		guest := "@" + way + ":127.0.0.1:1"
		status := s.owner.AwaitReply(s.owner.Say(s.room, "!invite "+guest), s.Usher.Bot)
		if text := status.Field("body"); !strings.Contains(text, "⏳ Not done yet: 127.0.0.1:1 does not answer yet") {
			t.Fatalf("%s: %s", way, text)
		}
		s.refused(t, s.owner, s.room, "!invite "+guest+" again", "invite.queued")
		s.answers(t, "!pending", "1 invitation not sent yet", guest)
		end(guest, id.EventID(status.ID))
		s.owner.Await("the end of the work", func(e harness.Event) bool {
			r := e.Relation()
			return r.Type == "m.replace" && r.On == status.ID && strings.Contains(e.Field("body"), last[way])
		})
		s.answers(t, "!pending", "No invitation is open here.")
	}
}

// answers checks that a command of the owner's is answered with some words.
func (s *stage) answers(t *testing.T, command string, words ...string) {
	t.Helper()
	text := s.owner.AwaitReply(s.owner.Say(s.room, command), s.Usher.Bot).Field("body")
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s is answered %q, want %q", command, text, word)
		}
	}
}
