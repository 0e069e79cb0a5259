package commands

import (
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
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
		{alice, "!audit", "2026-01-02 03:04 UTC: @carol:here may not invite @dora:here (invite.power).\n" +
			"2026-01-02 03:04 UTC: @alice:here invited @bob:here.\n" +
			"2026-01-02 03:04 UTC: @alice:here may invite @bob:here."},
		{alice, "!audit @dora 1h", "2026-01-02 03:04 UTC: @carol:here may not invite @dora:here (invite.power)."},
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
	want := "2026-01-02 03:04 UTC: @usher:here joined, asked by @admin:here.\n2026-01-02 03:04 UTC: @admin:here may join."
	if got := reply.Text.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestAuditInSentences: attempts in vain are one line; votes, changes of the policy and rows of other kinds are sentences, too.
func TestAuditInSentences(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	row := func(kind invites.AuditKind, action room.ActionType, verdict, code string) invites.Audit {
		return invites.Audit{At: at, Kind: kind, Action: action, Actor: carol, Performer: "@usher:here", Target: bob, Verdict: verdict, Code: code, Request: "$c"}
	}
	for _, tt := range []struct {
		row  invites.Audit
		n    int
		want string
	}{
		{row(invites.AuditEffect, room.Invite, "retry", "M_UNKNOWN"), 7, "7 tries to invite @bob:here, asked for by @carol:here, were in vain (M_UNKNOWN)."},
		{row(invites.AuditEffect, room.Invite, "retry", "M_UNKNOWN"), 1, "1 try to invite @bob:here, asked for by @carol:here, was in vain (M_UNKNOWN)."},
		{row(invites.AuditEffect, room.Invite, "done", "done"), 1, "@usher:here invited @bob:here, asked by @carol:here."},
		{row(invites.AuditEffect, policy.ActionWithdraw, "done", "done"), 1, "@usher:here withdrew the invitation of @bob:here, asked by @carol:here."},
		{row(invites.AuditVote, room.Invite, "allow", "approval.accepted"), 1, "the question about @bob:here was closed by @carol:here (approval.accepted)."},
		{row(invites.AuditEffect, requests.ActionPolicy, "done", "policy.edited"), 1, "@carol:here changed the policy through @usher:here (policy.edited)."},
		{row(invites.AuditEffect, room.Invite, "refused", "M_FORBIDDEN"), 1, "effect about @bob:here: invite, asked for by @carol:here: refused (M_FORBIDDEN)."},
	} {
		var text Text
		if got := text.Tell(auditRow(tt.row, tt.n)).String(); got != "2026-01-02 03:04 UTC: "+tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
