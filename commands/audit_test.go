package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
)

func TestAudit(t *testing.T) {
	d, _ := newRunner(t)
	say(t, d, lobby, alice, "!invite @bob")
	say(t, d, lobby, carol, "!invite @dora")
	for _, tt := range []struct {
		sender id.UserID
		text   string
		want   string
	}{
		{alice, "!audit", "2026-01-02 03:04:05 decision: @carol:here invite @dora:here → deny (invite.power)\n" +
			"2026-01-02 03:04:05 effect: @alice:here invite @bob:here → done\n" +
			"2026-01-02 03:04:05 decision: @alice:here invite @bob:here → allow (invite)"},
		{alice, "!audit @dora 1h", "2026-01-02 03:04:05 decision: @carol:here invite @dora:here → deny (invite.power)"},
		{alice, "!audit @nobody", "Nothing is on record."},
		{alice, "!audit 2027-01-01", "Nothing is on record."},
		{carol, "!audit", "Only people with the power to kick may ask for that (kick.power)."},
		{alice, "!audit tomorrow", "I know nobody called “tomorrow” here. Please write the whole id, as in @name:here."},
	} {
		if _, reply := say(t, d, lobby, tt.sender, tt.text); !strings.HasPrefix(reply.Text.String(), tt.want) {
			t.Errorf("%s: got %q\nwant %q", tt.text, reply.Text.String(), tt.want)
		}
	}
}

// TestAuditOfBotsJoin: the audit has the person who sent the bot to a room, with the decision and the outcome.
func TestAuditOfBotsJoin(t *testing.T) {
	d, hs := newRunner(t)
	const open = id.RoomID("!open:here")
	hs.Create(open, "11", alice)
	hs.Set(open, "m.room.join_rules", "", alice, map[string]any{"join_rule": "public"})
	if _, reply := say(t, d, lobby, admin, "!join --bot !open:here"); reply.React != "✅" {
		t.Fatalf("got %q", reply.Text.String())
	}
	if acts := hs.Acts(); len(acts) != 1 || acts[0].Performer != "@usher:here" || acts[0].Target != "@usher:here" {
		t.Errorf("got %+v", acts)
	}
	_, reply := say(t, d, open, alice, "!audit")
	want := "2026-01-02 03:04:05 effect: @admin:here join @usher:here by @usher:here → done\n" +
		"2026-01-02 03:04:05 decision: @admin:here join @usher:here by @usher:here → allow (join.public)"
	if got := reply.Text.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
