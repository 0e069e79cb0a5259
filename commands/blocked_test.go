package commands

import (
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites/inbound"
)

// TestBlocked: in a direct chat, people see what was refused to them and can expect a sender; operators see how much was refused.
func TestBlocked(t *testing.T) {
	d, hs := newRunner(t)
	hs.Create("!direct:here", "11", alice, "@usher:here")
	text := func(in string, text string) string {
		t.Helper()
		who := alice
		if strings.HasPrefix(in, "admin") {
			who = admin
		}
		_, reply := say(t, d, map[string]id.RoomID{"direct": "!direct:here", "admin": "!admins:here", "lobby": lobby}[in], who, text)
		return reply.Text.String()
	}
	if got := text("direct", "!blocked"); !strings.Contains(got, "does not filter") {
		t.Error(got)
	}
	d.Inbound = &inbound.Inbound{
		Rules: inbound.Rules{Sender: inbound.Limit{People: 1, Per: time.Hour}}, Lists: d.Judge.Lists, Store: inbox(d), Clock: d.Clock, Self: d.Self,
	}
	judge := func(target id.UserID) string {
		t.Helper()
		code, _, err := d.Inbound.Judge(t.Context(), "@spam:there", target, "!spam:there", []byte(`{"unsigned":{"invite_room_state":[{"type":"m.room.create"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if first, second := judge(carol), judge(alice); first != "" || second != inbound.CodeSender {
		t.Fatal(first, second)
	}
	if got := text("lobby", "!blocked"); !strings.Contains(got, "direct chat") {
		t.Error("before everybody:", got)
	}
	if got := text("direct", "!blocked "); !strings.Contains(got, "@spam:there") || !strings.Contains(got, inbound.CodeSender) || strings.Contains(got, "by one server") {
		t.Error(got)
	}
	if got := text("admin", "!blocked"); !strings.Contains(got, "No invitation to you") || !strings.Contains(got, "there: 1 (sender)") {
		t.Error(got)
	}
	if got := text("direct", "!expect @spam:there"); !strings.Contains(got, "Noted") {
		t.Error(got)
	}
	if code := judge(alice); code != "" {
		t.Error("an expected sender is refused:", code)
	}
}
