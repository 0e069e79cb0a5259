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
