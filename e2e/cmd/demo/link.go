package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// link shows an invite link: its maker gets the address, and a guest comes in by its page.
func (s *show) link(maker *harness.Account, room id.RoomID, guest *harness.Account) {
	s.title("An invite link")
	command := `!link create --here --uses 20 --welcome "There is cake, too"`
	said := maker.Say(room, command)
	s.step(maker.ID.Localpart(), command)
	body := maker.AwaitReply(said, s.usher.Bot).Field("body")
	s.step("usher", body)
	if s.page = regexp.MustCompile(`http://localhost:\d+/i/\S+`).FindString(body); s.page == "" {
		s.Fatalf("there is no address in it")
	}
	answer, err := http.PostForm(s.page, url.Values{"user": {string(guest.ID)}, "way": {"invite"}})
	if err != nil {
		s.Fatalf("%v", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		s.Fatalf("the page answers %d", answer.StatusCode)
	}
	name := strings.TrimPrefix(short(string(guest.ID)), "@")
	s.step(name, s.act("opens the page of the link and enters "+string(guest.ID)))
	guest.AwaitInvite(room)
	invitation := maker.AwaitMember(room, guest.ID, "invite")
	s.step(name, s.act("is invited by "+short(invitation.Sender)+": “"+invitation.Field("reason")+"”"))
	guest.Join(room)
	maker.AwaitMember(room, guest.ID, "join")
	s.step(name, s.act("joins"))
}
