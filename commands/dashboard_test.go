package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
)

// TestDashboard: only the person of a direct chat gets a login, and can end it.
func TestDashboard(t *testing.T) {
	d, _ := newRunner(t)
	for _, tt := range []struct {
		in         id.RoomID
		user       id.UserID
		text, want string
	}{
		{lobby, alice, "!dashboard", "Say !dashboard to me in a direct chat"},
		{"!direct:here", bob, "!dashboard", "to me in a direct chat"}, // a guest in somebody's chat
		{"!direct:here", alice, "!dashboard", "https://usher.example/login/"},
		{lobby, bob, "!dashboard logout", "0 logins"},
		{lobby, alice, "!dashboard logout", "1 login is ended."},
	} {
		if _, reply := say(t, d, tt.in, tt.user, tt.text); !strings.Contains(reply.Text.String(), tt.want) {
			t.Errorf("%s says %q in %s: %q", tt.user, tt.text, tt.in, reply.Text.String())
		}
	}
	d.Sessions.Address = ""
	if _, reply := say(t, d, "!direct:here", alice, "!dashboard"); !strings.Contains(reply.Text.String(), "has not set web.public_url") {
		t.Errorf("without pages: %q", reply.Text.String())
	}
}

// TestDirectChatOfSeveral: a group room that somebody made the bot's direct chat with them is none to the others, and no place for secrets.
func TestDirectChatOfSeveral(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0})
	people := &known{users: map[id.UserID]string{"@usher:here": "Usher", alice: "Alice", bob: ""}}
	d.People = people
	const direct = id.RoomID("!direct:here") // with alice
	for text, secret := range map[string]string{"!dashboard": "/login/", "!link create --room !lobby:here": "/i/"} {
		if _, reply := say(t, d, direct, alice, text); strings.Contains(reply.Text.String(), secret) != true {
			t.Errorf("alone, %s: %q", text, reply.Text.String())
		}
		people.users[carol] = "Carol"
		for _, sender := range []id.UserID{alice, carol} {
			if _, reply := say(t, d, direct, sender, text+" "); strings.Contains(reply.Text.String(), secret) {
				t.Errorf("with others, %s by %s: %q", text, sender, reply.Text.String())
			}
		}
		delete(people.users, carol)
	}
	if _, reply := say(t, d, direct, carol, "good morning"); !reply.Empty() {
		t.Errorf("words among people: %q", reply.Text.String())
	}
	if _, reply := say(t, d, direct, alice, "good morning"); reply.Empty() {
		t.Error("the person of the chat is not answered")
	}
}
