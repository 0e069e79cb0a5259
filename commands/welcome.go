package commands

import (
	"strings"

	"usher/invites/welcome"
	"usher/policy"
	"usher/words"
)

// Welcome is the message for people who came into a room. It mentions them and nobody else. In a direct chat it says whose words it has, since the bot
// speaks for the admins of a room there.
func (n Notices) Welcome(w *welcome.Message) (reply Reply) {
	t := &reply.Text
	people := make([]words.Run, 0, 2*len(w.People))
	for i, one := range w.People {
		if i > 0 {
			people = append(people, words.Run{Text: ", "})
		}
		people = append(people, words.Run{Text: one.Name, Link: string(one.User)})
		reply.Call = append(reply.Call, one.User)
	}
	switch {
	case w.Direct && w.ByLink:
		t.Say("welcome.direct.link", "room", w.Room, "inviter", w.Maker).Line()
	case w.Direct:
		t.Say("welcome.direct", "room", w.Room).Line()
	}
	reply.Aloud = w.Direct
	if w.ByLink {
		if !w.Direct {
			t.Quote(append(people, words.Run{Text: ": "})...)
		}
		t.Quote(words.Run{Text: w.Text.Text})
		return reply.more(w)
	}
	for _, part := range w.Text.Cut() {
		switch part {
		case policy.PlacePerson:
			t.Quote(people...)
		case policy.PlaceInviter:
			t.Quote(words.Run{Text: strings.Join(w.Inviters, ", ")})
		case policy.PlaceRoom:
			t.Quote(words.Run{Text: w.Name})
		default:
			t.Quote(words.Run{Text: part})
		}
	}
	if !strings.Contains(w.Text.Text, policy.PlacePerson) && !w.Direct {
		t.Line().Quote(people...)
	}
	return reply.more(w)
}

// more counts the people whom a message of welcome does not name.
func (r Reply) more(w *welcome.Message) Reply {
	if w.More > 0 {
		r.Text.Line().Say("welcome.more", "n", w.More)
	}
	return r
}
