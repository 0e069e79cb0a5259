package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// TestTypedRooms: a room is understood however people write it, or the command is refused. Nobody is invited into the room of the command
// instead, with the other room's name as the reason.
func TestTypedRooms(t *testing.T) {
	s := newStage(t, true)
	other := s.BotRoom(s.owner, harness.RoomOptions{Name: "the one that is meant"})
	for _, alias := range []string{"#plain:usher.test", "#sub/room:usher.test", "#what?:usher.test"} {
		s.owner.Do(http.MethodPut, "/v3/directory/room/"+url.PathEscape(alias), m{"room_id": other})
	}
	for _, form := range []string{
		"#plain", "in #plain:usher.test", "(#plain:usher.test)", "<#plain:usher.test>", "`#plain:usher.test`", `"#plain:usher.test"`, "<" + string(other) + ">",
		"https://matrix.to/#/" + url.QueryEscape("#sub/room:usher.test"), "https://matrix.to/#/#sub/room:usher.test", "matrix:r/sub/room:usher.test",
		"https://matrix.to/#/" + url.QueryEscape("#what?:usher.test"), "https://app.element.io/#/room/#plain:usher.test",
		"https://matrix.to/#/" + url.PathEscape(string(other)) + "/$event?via=usher.test",
	} {
		guest := s.Account("guest")
		s.succeeds(s.owner, s.room, "!invite "+string(guest.ID)+" "+form)
		s.is(t, other, guest.ID, "invite", s.owner.ID)
		s.is(t, s.room, guest.ID, "leave", "")
	}
	for form, word := range map[string]string{
		"to plain": "Did you mean #plain", "he asked in #plain": "Did you mean the room #plain", "https://evilmatrix.to/#/" + string(other): "Did you mean " + string(other),
		"#plain #sub/room": "One room at a time",
	} {
		guest := s.Account("guest")
		s.refused(t, s.owner, s.room, "!invite "+string(guest.ID)+" "+form, word)
		s.is(t, s.room, guest.ID, "leave", "")
	}
}

// TestTypedPeople: all people who are named are invited, or nobody is. A name that nobody has on this server is refused.
func TestTypedPeople(t *testing.T) {
	s := newStage(t, true)
	for _, form := range []string{"A and B", "A & B", "A + B", "A/B", "A,B", "\n- A\n- B", "\n1. A\n2. B", "<A>, <B> please", "[A](https://matrix.to/#/A) und B"} {
		a, b := s.Account("a"), s.Account("b")
		s.succeeds(s.owner, s.room, "!invite "+strings.NewReplacer("A", string(a.ID), "B", string(b.ID)).Replace(form))
		s.is(t, s.room, a.ID, "invite", s.owner.ID)
		s.is(t, s.room, b.ID, "invite", s.owner.ID)
		if reason := s.owner.State(s.room, "m.room.member", string(a.ID)).Field("reason"); reason != "" {
			t.Errorf("%s: the reason %q", form, reason)
		}
	}
	before := s.acts(s.room)
	for _, name := range []string{"@nobdoy:usher.test", "@nobdoy", "@@guest:usher.test", "guest@usher.test", "@guest@usher.test", string(s.guest.ID) + " @nobdoy"} {
		reply := s.owner.AwaitReply(s.owner.Say(s.room, "!invite "+name), s.Usher.Bot)
		t.Logf("%s: %s", name, reply.Field("body"))
	}
	eve := s.Account("eve")
	said := s.owner.SayHTML(s.room, "!invite "+string(s.guest.ID), `!invite <a href="https://matrix.to/#/`+string(eve.ID)+`">`+string(s.guest.ID)+`</a>`)
	s.owner.AwaitReply(said, s.Usher.Bot)
	if n := s.acts(s.room); n != before {
		t.Errorf("%d requests for people who do not exist or were not meant", n-before)
	}

	s.owner.Invite(s.room, s.guest.ID)
	s.guest.Join(s.room)
	s.guest.Do(http.MethodPut, "/v3/profile/"+string(s.guest.ID)+"/displayname", m{"displayname": "Gus T. Guest"})
	s.owner.Await("the name", func(e harness.Event) bool {
		return e.Is(string(s.guest.ID)) && e.Field("displayname") == "Gus T. Guest"
	})
	for _, command := range []string{"!whoinvited Gus T. Guest", "!whoinvited " + s.guest.ID.Localpart()} {
		if reply := s.owner.AwaitReply(s.owner.Say(s.room, command), s.Usher.Bot).Field("body"); !strings.Contains(reply, string(s.guest.ID)) {
			t.Errorf("%s: %s", command, reply)
		}
	}
	word := s.guest.Say(s.room, "hello")
	s.owner.Await("hello", func(e harness.Event) bool { return e.ID == string(word) })
	asked := s.owner.Send(s.room, m{"msgtype": "m.text", "body": "!whoinvited", "m.relates_to": m{"m.in_reply_to": m{"event_id": word}}})
	if reply := s.owner.AwaitReply(asked, s.Usher.Bot).Field("body"); !strings.Contains(reply, string(s.guest.ID)) {
		t.Errorf("in reply to a message: %s", reply)
	}
}

// edit replaces the text of a message.
func edit(by *harness.Account, room id.RoomID, event id.EventID, text string) id.EventID {
	return by.Send(room, m{
		"msgtype": "m.text", "body": "* " + text, "m.new_content": m{"msgtype": "m.text", "body": text},
		"m.relates_to": m{"rel_type": "m.replace", "event_id": event},
	})
}

// TestEditedCommand: a command that failed runs once it is mended; the answer is on the message that people see. A second edit does nothing.
func TestEditedCommand(t *testing.T) {
	s := newStage(t, true)
	first := s.owner.Say(s.room, "!inivte @nobdoy")
	if reply := s.owner.AwaitReply(first, s.Usher.Bot).Field("body"); !strings.Contains(reply, "!invite") {
		t.Errorf("a near miss: %s", reply)
	}
	edit(s.owner, s.room, first, "!invite "+string(s.guest.ID))
	s.owner.AwaitReaction(first, s.Usher.Bot, done)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	other := s.Account("other")
	edit(s.owner, s.room, first, "!invite "+string(other.ID))
	edit(s.owner, s.room, s.owner.Say(s.room, "!ping"), "!invite "+string(other.ID))
	s.settled(s.owner, s.room)
	s.is(t, s.room, other.ID, "leave", "")
}

// TestDirectChatWithoutPrefix: in a direct chat no prefix is needed, and every message is answered. It speaks the language of the person, and
// rooms speak that of their policy.
func TestDirectChatWithoutPrefix(t *testing.T) {
	s := newStage(t, true)
	chat := s.owner.CreateRoom(harness.RoomOptions{Preset: "trusted_private_chat", Direct: true, Invite: []id.UserID{s.Usher.Bot}})
	s.owner.AwaitMember(chat, s.Usher.Bot, "join")
	time.Sleep(time.Second) // the bot notes that it is a direct chat
	for text, has := range map[string]string{"help": "!invite", "hi there": "!help", "inivte": "!invite", "ping": "Pong!"} {
		if reply := s.owner.AwaitReply(s.owner.Say(chat, text), s.Usher.Bot).Field("body"); !strings.Contains(reply, has) {
			t.Errorf("%s: %s", text, reply)
		}
	}
	s.succeeds(s.owner, chat, "invite "+string(s.guest.ID)+" to "+string(s.room))
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)

	// A room speaks the language of its policy, and a person chooses for their direct chat. The commands of all languages work everywhere.
	says(t, ask(s.owner, s, chat, "warum "+string(s.guest.ID)+" "+string(s.room)), "is invited already")
	s.succeeds(s.owner, s.room, "!language deutsch")
	says(t, ask(s.owner, s, s.room, "!hilfe"), "Leute einladen")
	says(t, ask(s.owner, s, chat, "help"), "invite people")
	says(t, ask(s.owner, s, chat, "language de"), "Deutsch")
	says(t, ask(s.owner, s, chat, "!invite "+string(s.guest.ID)+" "+string(s.room)), "ist schon eingeladen")
	if status, profile := s.owner.Try("GET", "/v3/profile/"+string(s.Usher.Bot), nil); !strings.Contains(string(profile), `"mxc://`) {
		t.Errorf("the bot has no avatar: %d %s", status, profile)
	}
}
