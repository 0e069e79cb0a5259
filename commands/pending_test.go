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
