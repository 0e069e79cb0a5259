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
	want = "@bob:here: invited by @carol:here on 2026-01-02 03:04 UTC, pending.\n" +
		"· before that, invited by @alice:here on 2025-12-30 03:04 UTC, declined on 2026-01-02 03:04 UTC.\n" +
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

func TestUninvite(t *testing.T) {
	kick50 := map[string]any{"invite": 0, "users": map[string]any{alice.String(): 100, "@usher:here": 50}}
	for _, tt := range []struct {
		name   string
		sender id.UserID
		text   string
		power  map[string]any
		before string // bob's membership
		react  string
		has    string
		after  string
	}{
		{"with the power", alice, "!uninvite @bob sorry", kick50, "invite", "✅", "", "leave"},
		{"as the bot", alice, "!uninvite --as-bot @bob", kick50, "invite", "✅", "", "leave"},
		{"even one's own needs the power", carol, "!uninvite @bob", kick50, "invite", "", "counts as a kick: it needs power level 50 here, and you have 0", "invite"},
		{"the bot's power is not lent", carol, "!uninvite --as-bot @bob", kick50, "invite", "", "kick.power", "invite"},
		{"never who has joined", alice, "!uninvite @bob", kick50, "join", "", "withdraw.not_invited", "join"},
		{"nor who is banned", alice, "!uninvite @bob", kick50, "ban", "", "withdraw.not_invited", "ban"},
		{"nor who was never invited", alice, "!uninvite @bob", kick50, "leave", "", "has no open invitation here", "leave"},
		{"dry run", alice, "!uninvite --dry-run @bob", kick50, "invite", "", "✅ @bob:here: Allowed: the withdrawal would be sent by you", "invite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			hs.Set(lobby, "m.room.power_levels", "", alice, tt.power)
			hs.Member(lobby, bob, tt.before)
			_, reply := say(t, d, lobby, tt.sender, tt.text)
			if reply.React != tt.react || !strings.Contains(reply.Text.String(), tt.has) {
				t.Errorf("got %q %q", reply.React, reply.Text.String())
			}
			snap, err := hs.Snapshot(t.Context(), lobby, alice, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := snap.Membership(bob); got != tt.after {
				t.Errorf("bob's membership is %s, want %s", got, tt.after)
			}
		})
	}
}

// TestUninviteLate: a withdrawal that waited leaves a person who has joined meanwhile.
func TestUninviteLate(t *testing.T) {
	d, hs := newRunner(t)
	hs.Member(lobby, bob, "invite")
	d.Requests.AtOnce = 0
	m, _ := say(t, d, lobby, alice, "!uninvite @bob")
	hs.Member(lobby, bob, "join")
	rows, err := d.Requests.Progress(t.Context(), m.Event)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	outcomes, err := d.Requests.Delivery.Deliver(t.Context(), rows[0].ID)
	if err != nil || outcomes[0].Code != "withdraw.not_invited" || len(hs.Acts()) != 0 {
		t.Errorf("got %+v %v and %d acts", outcomes, err, len(hs.Acts()))
	}
}

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
