package commands

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
)

const bob = id.UserID("@bob:here")

// seen puts an invitation into the ledger and the room, and returns its event id. It was sent some time ago.
func seen(t *testing.T, d *Runner, hs *invitestest.Homeserver, target, by id.UserID, age time.Duration) id.EventID {
	t.Helper()
	now := d.Clock.Now()
	event := id.EventID(fmt.Sprintf("$invite-%s-%s-%s", target, by, age))
	hs.Member(lobby, target, "invite")
	observe(t, d, invites.MemberEvent{Event: event, Room: lobby, Target: target, Sender: by, Membership: "invite", SentAt: now.Add(-age), SeenAt: now.Add(-age)})
	return event
}

func observe(t *testing.T, d *Runner, m invites.MemberEvent) {
	t.Helper()
	if _, err := inbox(d).Receive(t.Context(), nil, m); err != nil {
		t.Fatal(err)
	}
}

func TestPendingAndWhoInvited(t *testing.T) {
	d, hs := newRunner(t)
	now := d.Clock.Now()
	if _, reply := say(t, d, lobby, carol, "!pending"); reply.Text.String() != "No invitation is open here." {
		t.Errorf("got %q", reply.Text.String())
	}
	seen(t, d, hs, bob, alice, 72*time.Hour)
	seen(t, d, hs, "@dora:there", carol, 10*time.Minute)
	want := "2 invitations open:\n@bob:here by @alice:here, 3 days ago\n@dora:there by @carol:here, 10 minutes ago"
	if _, reply := say(t, d, lobby, carol, "!pending "); reply.Text.String() != want {
		t.Errorf("got %q", reply.Text.String())
	}
	for n := range 40 {
		seen(t, d, hs, id.UserID(fmt.Sprintf("@guest%d:there", n)), alice, time.Second)
	}
	if _, reply := say(t, d, lobby, carol, "!pending  "); !strings.HasSuffix(reply.Text.String(), "… and 12 more.") {
		t.Errorf("got %q", reply.Text.String())
	}
	observe(t, d, invites.MemberEvent{Event: "$no", Room: lobby, Target: bob, Sender: bob, Membership: "leave", SentAt: now, SeenAt: now})
	seen(t, d, hs, bob, carol, 0)
	_, reply := say(t, d, lobby, carol, "!whoinvited @bob @nobody")
	want = "@bob:here: invited by @carol:here just now (2 January 2026), pending.\n" +
		"· before that, invited by @alice:here 3 days ago (30 December 2025), declined just now (2 January 2026).\n" +
		"@nobody:here: I have seen no invitation here."
	if reply.Text.String() != want {
		t.Errorf("got %q", reply.Text.String())
	}
	for _, text := range []string{"!pending !other:here", "!whoinvited @bob !other:here"} {
		if _, reply := say(t, d, lobby, alice, text); !strings.Contains(reply.Text.String(), "rooms that you are in") {
			t.Errorf("%s: got %q", text, reply.Text.String())
		}
	}
}

// TestNothingWaitsInvisibly: what waits to be sent, or for approval, is pending: with its cause and the way to stop it, for those whom it
// concerns, and a second command for the same person is told of the first.
// TestListedLater: an invitation of somebody whom a policy list bans by now is marked, as long as it does and the room exempts nobody.
func TestListedLater(t *testing.T) {
	d, hs := newRunner(t)
	const list = id.RoomID("!list:here")
	hs.Create(list, "11", alice, "@usher:here")
	seen(t, d, hs, bob, alice, time.Hour)
	seen(t, d, hs, "@dora:there", alice, time.Hour)
	n := 0
	check := func(want bool, rule, whom map[string]any) {
		t.Helper()
		hs.Set(list, "m.policy.rule.user", "a", alice, rule)
		whom["lists"] = []string{string(list)}
		hs.Set(lobby, "chat.usher.policy", "", alice, map[string]any{"version": 1, "whom": whom})
		n++
		for question, mark := range map[string]string{"!pending": "; banned by a policy list by now", "!why " + string(bob): " By now a policy list of this room bans them."} {
			_, reply := say(t, d, lobby, alice, question+strings.Repeat(" ", n))
			got := reply.Text.String()
			if (strings.Count(got, mark) == 1) != want || strings.Contains(got, "ban") != want {
				t.Errorf("%d: %s says %q", n, question, got)
			}
		}
		if _, reply := say(t, d, lobby, alice, "!why @dora:there"+strings.Repeat(" ", n)); strings.Contains(reply.Text.String(), "ban") {
			t.Errorf("%d: %q", n, reply.Text.String())
		}
	}
	ban := map[string]any{"entity": string(bob), "recommendation": "m.ban"}
	check(false, map[string]any{}, map[string]any{})
	check(true, ban, map[string]any{})
	check(false, ban, map[string]any{"except_users": []string{string(bob)}})
	check(false, map[string]any{}, map[string]any{})
}

func TestNothingWaitsInvisibly(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100}})
	hs.Before = func(e invites.Effect) error {
		if e.Target == bob {
			return &invites.ActError{Class: invites.ClassLater, Code: invites.CodeLimited, Status: 429, RetryAfter: 5 * time.Minute}
		}
		return &invites.ActError{Class: invites.ClassFailed, Code: "M_UNKNOWN", Status: 502, Server: "there"}
	}
	const limit = "@bob:here was invited to many rooms lately, so the homeserver makes further invitations wait"
	for _, tt := range []struct {
		sender    id.UserID
		say, want string
	}{
		{carol, "!invite @bob:here", "⏳ Not done yet: " + limit + "; I go on by myself, for about 5 minutes. To stop it, react with ❌."},
		{carol, "!invite @dora:there", "⏳ Not done yet: there does not answer yet; I try again in a moment. To stop it, react with ❌."},
		{carol, "!invite @bob:here again", "The invitation of @bob:here is on its way already: @carol:here asked for it, but " + limit + ". I try again in 5 minutes. (invite.queued)"},
		{carol, "!pending", "2 invitations not sent yet:\n@dora:there, asked for by @carol:here, just now: there does not answer yet; next try in 1 minute\n" +
			"@bob:here, asked for by @carol:here, just now: " + limit + "; next try in 5 minutes\nTo take one back, say !uninvite @dora:there."},
		{"@rob:there", "!pending ", "No invitation is open here."},
		{alice, "!pending  ", "2 invitations not sent yet:"},
		{"@rob:there", "!uninvite @bob:here", "it needs power level 50 here, and you have 0."},
		{carol, "!uninvite @bob:here --dry-run", "✅ @bob:here: Allowed: the invitation of @bob:here was not sent yet, so I would just not send it. (withdraw.unsent)"},
		{carol, "!uninvite @bob:here please", ""},
		{alice, "!prune @carol:here", "This withdraws 1 invitation:\n@dora:there\n"},
		{alice, "!pending   ", "1 invitation not sent yet:"},
	} {
		d.Level = func(id.UserID) Level { return User }
		hs.Member(lobby, "@rob:there", "join")
		_, reply := say(t, d, lobby, tt.sender, tt.say)
		if got := reply.Text.String(); got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
			t.Errorf("%s: %s\n got %q\nwant %q", tt.sender, tt.say, got, tt.want)
		}
		if tt.want == "" && reply.React != "✅" {
			t.Errorf("%s: reaction %q", tt.say, reply.React)
		}
	}
}
