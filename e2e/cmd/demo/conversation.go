package main

import (
	"crypto/rand"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// conversation is what the demo shows.
func (s *show) conversation() {
	alice, bob, carol, dave := s.account("alice"), s.account("bob"), s.account("carol"), s.account("dave")
	s.step("", "accounts @alice, @bob, @carol and @dave")
	room := alice.CreateRoom(harness.RoomOptions{Name: "The Salon", Invite: []id.UserID{carol.ID}, Power: map[string]any{"invite": 50}})
	carol.Join(room)
	s.step("", "a private room of alice's, “The Salon”, with carol in it; to invite there takes power 50")

	s.title("In the Salon")
	alice.Invite(room, s.usher.Bot)
	s.step("alice", s.act("invites @usher"))
	alice.AwaitMember(room, s.usher.Bot, "join")
	s.step("usher", s.act("joins"))
	greeting := alice.Await("Usher's greeting", func(e harness.Event) bool {
		return e.Room == string(room) && e.Sender == string(s.usher.Bot) && e.Type == "m.room.message"
	})
	s.step("usher", greeting.Field("body"))

	s.succeeds(alice, room, "!invite "+string(bob.ID)+" there is tea")
	bob.AwaitInvite(room)
	invitation := alice.AwaitMember(room, bob.ID, "invite")
	s.step("bob", s.act("is invited by "+short(invitation.Sender)+": “"+invitation.Field("reason")+"”"))
	if invitation.Sender != string(alice.ID) {
		s.Fatalf("the invitation is not alice's but %s's", invitation.Sender)
	}
	bob.Join(room)
	alice.AwaitMember(room, bob.ID, "join")
	s.step("bob", s.act("joins"))

	s.answered(carol, room, "!invite "+string(dave.ID), "invite.power")
	s.answered(carol, room, "!why "+string(dave.ID), "invite.power")
	s.answered(alice, room, "!why "+string(dave.ID), "Allowed")
	s.answered(alice, room, "!invite "+string(bob.ID), "already")
	s.answered(alice, room, "!ping", "Usher")
	s.link(alice, room, dave)
}

// account makes an account with a random password.
func (s *show) account(name string) *harness.Account {
	a := harness.NewAccount(s, s.server, name, strings.ToLower(rand.Text()[:12]), false)
	s.cast = append(s.cast, a)
	return a
}

// succeeds shows a command and its ✅.
func (s *show) succeeds(by *harness.Account, room id.RoomID, command string) {
	said := by.Say(room, command)
	s.step(by.ID.Localpart(), command)
	by.AwaitReaction(said, s.usher.Bot, "✅")
	s.step("usher", "✅")
}

// answered shows a command and the notice in reply, which has to hold a word.
func (s *show) answered(by *harness.Account, room id.RoomID, command, word string) {
	said := by.Say(room, command)
	s.step(by.ID.Localpart(), command)
	body := by.AwaitReply(said, s.usher.Bot).Field("body")
	s.step("usher", body)
	if !strings.Contains(body, word) {
		s.Fatalf("the answer to %s does not speak of %s", command, word)
	}
}

// invite tells how to look at it oneself.
func (s *show) invite() {
	s.title("Both stay up. Log in with any Matrix client")
	s.fact("homeserver", s.server.URL)
	for _, a := range s.cast {
		s.fact("user", string(a.ID)+"   password "+a.Password)
	}
	s.fact("link", s.page+"   opens the Salon; enter the Matrix ID of an account of yours")
	s.fact("room", "“The Salon”; try !help there, or invite "+string(s.usher.Bot)+" to a room of your own")
	s.fact("logs", folder+"/usher/usher.log, "+folder+"/homeserver/dendrite.log")
	s.line("")
	s.line("Ctrl-C ends both.")
}

// short is a user id without its server.
func short(user string) string { return "@" + id.UserID(user).Localpart() }
