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
	if harness.Kind() == homeserver.Synapse && scaled(0, 1) == 0 {
		t.Skip("the same on both homeservers; USHER_E2E_LONG=1 shows it")
	}
	t.Setenv("USHER_E2E_ENCRYPTED", "1")
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Approval", TestApproval}, {"ApprovalDenied", TestApprovalDenied}, {"ApprovalElsewhere", TestApprovalElsewhere},
		{"ApprovalGone", TestApprovalGone}, {"Knock", TestKnock}, {"KnockAtOnce", TestKnockAtOnce}, {"GuardDrift", TestGuardDrift},
		{"Expiry", TestExpiry}, {"Prune", TestPrune}, {"PolicyEdit", TestPolicyEdit}, {"PolicyMalformed", TestPolicyMalformed},
		{"Uninvite", TestUninvite}, {"InviteForms", TestInviteForms},
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

// TestHistoryShared: whom the bot invites can read what was said before by people who agreed to that, and by the bot; not what
// others said. With the switch off, and where somebody else is the one who invites, nothing is shared.
func TestHistoryShared(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: map[string]any{"encryption.history_sharing": true}})
	s.owner.OpenHistory()
	s.guest.OpenHistory()
	room := s.BotRoom(s.owner, harness.RoomOptions{Power: m{"invite": 0}})
	reserved, other := s.Account("reserved"), s.Account("other").OpenHistory()
	s.owner.Invite(room, reserved.ID)
	reserved.Join(room)
	said := s.owner.Say(room, "for those who come later")
	between := reserved.Say(room, "between us")
	s.settled(s.owner, room)
	s.succeeds(s.owner, room, "!invite "+string(other.ID)) // the owner invites
	s.succeeds(s.owner, room, "!invite --as-bot "+string(s.guest.ID))
	s.guest.AwaitBundle(room)
	s.guest.Join(room)
	s.guest.Await("what was said before", func(e harness.Event) bool {
		return e.ID == string(said) && e.Field("body") == "for those who come later"
	})
	s.guest.Await("what the bot said", func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "Pong")
	})
	if read := s.guest.Seen(func(e harness.Event) bool { return e.ID == string(between) && e.Type != "m.room.encrypted" }); len(read) != 0 {
		t.Errorf("read what was not to be passed on: %s", read[0].Content)
	}
	other.AwaitInvite(room)
	other.Join(room)
	s.settled(other, room)
	if read := other.Seen(func(e harness.Event) bool { return e.ID == string(said) && e.Type != "m.room.encrypted" }); len(read) != 0 {
		t.Error("who was invited by somebody else got the keys from the bot")
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
	s.owner.AwaitReaction(id.EventID(status.ID), s.Usher.Bot, "❌")
	s.owner.React(s.room, id.EventID(status.ID), "✅")
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	last := s.owner.Await("the last edit", func(e harness.Event) bool {
		r := e.Relation()
		return r.Type == "m.replace" && r.On == status.ID && strings.Contains(e.Field("body"), "the result is below")
	})
	result := s.owner.Await("the result", func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && e.Relation().ReplyTo == string(said) && strings.Contains(e.Field("body"), "20 of 20 people are invited now")
	})
	if status.Wire != "m.room.encrypted" || last.Wire != "m.room.encrypted" || result.Wire != "m.room.encrypted" || !strings.Contains(string(last.Content), "m.new_content") {
		t.Errorf("%s, edited by %s: %s, result %s", status.Wire, last.Wire, last.Content, result.Wire)
	}
	for _, guest := range guests {
		s.is(t, s.room, guest.ID, "invite", s.owner.ID)
	}
	s.settled(s.owner, s.room)
	s.allSecret(t, s.room)
}
