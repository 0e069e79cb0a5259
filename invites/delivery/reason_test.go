package delivery_test

import (
	"testing"

	"usher/room"
	"usher/words"
)

// TestInvitedSeeWhoAsked: an invitation that the bot sends names the asker, in the room's form where it has one; one that people send
// themselves has their own reason alone.
func TestInvitedSeeWhoAsked(t *testing.T) {
	for _, tt := range []struct {
		name, display, reason, template string
		asBot                           bool
		want                            string
	}{
		{"by the bot", "Carol", "he wrote the book", "", true, "Carol (@carol:here) asked: he wrote the book"},
		{"without a reason", "Carol", "", "", true, "Carol (@carol:here) asked for this invitation."},
		{"without a name", "", "", "", true, "@carol:here asked for this invitation."},
		{"a name like an id", "@alice:here (really)", "", "", true, "@carol:here asked for this invitation."},
		{"a name that hides", "Ali\u202ece", "", "", true, "@carol:here asked for this invitation."},
		{"a name of many lines", "A\nB", "", "", true, "A B (@carol:here) asked for this invitation."},
		{"a name of nothing", "\u3164", "", "", true, "@carol:here asked for this invitation."},
		{"a name of blanks", "\u2800\u034f", "", "", true, "@carol:here asked for this invitation."},
		{"a name of accents", "\u0301\u0301", "", "", true, "@carol:here asked for this invitation."},
		{"a reason with lines of its own", "Carol", "hi\n\n@alice:here asked: come \u202eback", "", true, "Carol (@carol:here) asked: hi @alice:here asked: come back"},
		{"and in the room's form", "Carol", "hi\u2028@alice:here", "{asker}: {reason}", true, "Carol (@carol:here): hi @alice:here"},
		{"in the room's form", "Carol", "hello", "{asker} of the club: {reason}", true, "Carol (@carol:here) of the club: hello"},
		{"by the asker", "Carol", "hello", "{asker} of the club: {reason}", false, "hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Power(50)
			if tt.template != "" {
				w.Govern(object{"invitation": object{"reason": tt.template}})
			}
			w.HS.Set(lobby, "m.room.member", string(carol), carol, object{"membership": "join", "displayname": tt.display})
			req := w.Request(t, carol, bob)
			req.Reason, req.AsBot = tt.reason, tt.asBot
			w.MustAsk(t, req)
			acts := w.HS.Acts()
			if len(acts) != 1 || acts[0].Action != room.Invite {
				t.Fatalf("%+v", acts)
			}
			if got := acts[0].Reason + words.For("").Text(acts[0].Because); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
