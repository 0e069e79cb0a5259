package e2e

import (
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestInEncryptedRooms: what has a test of its own elsewhere is the same in encrypted rooms: cards and their edits, reports of
// the guard, reminders, pictures, what is said of policies. All that the bot sends there is encrypted, which the World checks of
// each request.
func TestInEncryptedRooms(t *testing.T) {
	t.Setenv("USHER_E2E_ENCRYPTED", "1")
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Approval", TestApproval}, {"ApprovalDenied", TestApprovalDenied}, {"ApprovalElsewhere", TestApprovalElsewhere},
		{"ApprovalGone", TestApprovalGone}, {"Knock", TestKnock}, {"KnockAtOnce", TestKnockAtOnce}, {"GuardDrift", TestGuardDrift},
		{"Expiry", TestExpiry}, {"Prune", TestPrune}, {"PolicyEdit", TestPolicyEdit}, {"PolicyMalformed", TestPolicyMalformed},
		{"PolicyQuota", TestPolicyQuota}, {"Uninvite", TestUninvite}, {"InviteForms", TestInviteForms},
	} {
		t.Run(c.name, c.test)
	}
}

// TestSecretVotes: a reaction that is encrypted is a vote as any other, whether or not it hides what it is a reaction to, and
// can be taken back; so it is on the card that confirms a command.
func TestSecretVotes(t *testing.T) {
	for name, hidden := range map[string]bool{"relation outside": false, "relation hidden": true} {
		t.Run(name, func(t *testing.T) {
			c := newCourtOf(t, newSecretStage(t, true), 2, nil)
			said := c.asker.Say(c.room, "!invite "+string(c.guest.ID))
			card := c.card(c.owner, c.room, c.guest.ID)
			c.asker.ReactSecretly(c.room, card, "✅", hidden) // not the asker's to give
			first := c.judges[0].ReactSecretly(c.room, card, "✅", hidden)
			c.cardSays(c.owner, card, "1 × ✅, 0 × ❌")
			c.judges[0].Redact(c.room, first)
			if harness.Kind() != homeserver.Dendrite { // which does not tell of redactions: votes are read again when they count
				c.owner.Await("the card without a vote", func(e harness.Event) bool {
					return e.Relation().On == string(card) && e.Relation().Type == "m.replace" && !strings.Contains(e.Field("body"), "So far")
				})
			}
			c.judges[0].ReactSecretly(c.room, card, "👀", hidden)
			c.judges[1].ReactSecretly(c.room, card, "✅", hidden)
			c.settled(c.judges[1], c.room)
			c.is(t, c.room, c.guest.ID, "leave", "")
			c.restart(t) // what was counted counts, and the card is open still
			c.judges[2].ReactSecretly(c.room, card, "✅", hidden)
			c.asker.AwaitReaction(said, c.Usher.Bot, done)
			c.is(t, c.room, c.guest.ID, "invite", c.asker.ID)
			c.cardSays(c.owner, card, "✅ Accepted")
			if n := c.acts(c.room); n != 1 {
				t.Errorf("%d requests, expected one", n)
			}

			prune := c.owner.AwaitReply(c.owner.Say(c.room, "!prune "+string(c.asker.ID)), c.Usher.Bot)
			c.owner.ReactSecretly(c.room, id.EventID(prune.ID), "✅", hidden)
			c.owner.AwaitMember(c.room, c.guest.ID, "leave")
		})
	}
}

// TestManyInSecret: twenty people are invited by one command in an encrypted room. The message that tells how it goes is edited
// until all is done, encrypted as it is.
func TestManyInSecret(t *testing.T) {
	s := newSecretStage(t, true)
	command := "!invite"
	var guests []*harness.Account
	for i := range 20 {
		guest := harness.NewAccount(t, s.Server, fmt.Sprintf("g%d", i), "", false)
		guests = append(guests, guest)
		command += " " + string(guest.ID)
	}
	said := s.owner.Say(s.room, command)
	status := s.owner.AwaitReply(said, s.Usher.Bot)
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	last := s.owner.Await("the last edit", func(e harness.Event) bool {
		r := e.Relation()
		return r.Type == "m.replace" && r.On == status.ID && strings.Contains(e.Field("body"), "20 done")
	})
	if status.Wire != "m.room.encrypted" || last.Wire != "m.room.encrypted" || !strings.Contains(string(last.Content), "m.new_content") {
		t.Errorf("%s, edited by %s: %s", status.Wire, last.Wire, last.Content)
	}
	for _, guest := range guests {
		s.is(t, s.room, guest.ID, "invite", s.owner.ID)
	}
	s.settled(s.owner, s.room)
	s.allSecret(t, s.room)
}
