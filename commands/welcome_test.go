package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites/welcome"
	"usher/policy"
)

// TestWelcome: a message mentions the people who came, and no text of anybody makes markup or another mention.
func TestWelcome(t *testing.T) {
	bob, dora := welcome.Person{User: "@bob:x", Name: "Bob"}, welcome.Person{User: "@dora:x", Name: "@dora:x"}
	for _, tt := range []struct {
		m           welcome.Message
		plain, html string
	}{
		{
			welcome.Message{People: []welcome.Person{bob}, Inviters: []string{"Ann"}, Name: "“Club”", Text: policy.Welcome{Text: "Hi {person}, {inviter} asked you to {room}.\n<b>@room</b> @ann:x `x`"}},
			"Hi Bob, Ann asked you to “Club”.\n<b>@\u2060room</b> @ann:x `x`",
			`Hi <a href="https://matrix.to/#/@bob:x">Bob</a>, Ann asked you to “Club”.<br>&lt;b&gt;@` + "\u2060" + `room&lt;/b&gt; @ann:x ` + "`x`",
		},
		{
			welcome.Message{People: []welcome.Person{bob, dora}, Inviters: []string{"Ann", "Al"}, More: 2, Text: policy.Welcome{Text: "Hello! {inviter} will help."}},
			"Hello! Ann, Al will help.\nBob, @dora:x\nAnd 2 more people.",
			`Hello! Ann, Al will help.<br><a href="https://matrix.to/#/@bob:x">Bob</a>, <a href="https://matrix.to/#/@dora:x">@dora:x</a><br>And 2 more people.`,
		},
		{
			welcome.Message{People: []welcome.Person{bob}, ByLink: true, Maker: "@ann:x", Text: policy.Welcome{Text: "Cake for {person}"}},
			"Bob: Cake for {person}", `<a href="https://matrix.to/#/@bob:x">Bob</a>: Cake for {person}`,
		},
		{
			welcome.Message{Room: "!club:x", People: []welcome.Person{bob}, Direct: true, Text: policy.Welcome{Text: "Hi"}},
			"The admins of “Club” welcome you:\nHi", `The admins of <a href="https://matrix.to/#/%21club:x?via=x">“Club”</a> welcome you:<br>Hi`,
		},
		{
			welcome.Message{Room: "!club:x", People: []welcome.Person{bob}, Direct: true, ByLink: true, Maker: "@ann:x", Text: policy.Welcome{Text: "Hi"}},
			"@ann:x, whose link to “Club” you used, welcomes you:\nHi",
			`<a href="https://matrix.to/#/@ann:x">@ann:x</a>, whose link to <a href="https://matrix.to/#/%21club:x?via=x">“Club”</a> you used, welcomes you:<br>Hi`,
		},
	} {
		reply := Notices{}.Welcome(&tt.m)
		reply.Names = func(id.RoomID) string { return "“Club”" }
		got := reply.Notice(Message{})
		if got.Body != tt.plain || got.FormattedBody != tt.html {
			t.Errorf("got  %q\n     %q\nwant %q\n     %q", got.Body, got.FormattedBody, tt.plain, tt.html)
		}
		var people []string
		for _, one := range got.Mentions.UserIDs {
			people = append(people, string(one))
		}
		if want := len(tt.m.People); len(people) != want || got.Mentions.Room || people[0] != "@bob:x" {
			t.Errorf("mentions %s", strings.Join(people, " "))
		}
	}
}
