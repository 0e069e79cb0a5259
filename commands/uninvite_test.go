package commands

import (
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

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
		{"dry run", alice, "!uninvite --dry-run @bob", kick50, "invite", "", "✅ @bob:here: Allowed: I would send the withdrawal in your name", "invite"},
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

// TestUninviteAddress: invitations of addresses are pending, and are withdrawn by the name or the address: one's own with the power to invite,
// others' with the power to kick.
func TestUninviteAddress(t *testing.T) {
	power := map[string]any{"invite": 25, "kick": 50, "users": map[string]any{alice.String(): 100, carol.String(): 25, "@usher:here": 25}}
	for _, tt := range []struct {
		name   string
		sender id.UserID
		text   string
		react  string
		has    string
		gone   string // tokens
	}{
		{"by its name", carol, "!uninvite c...@e...", "✅", "", "c"},
		{"by the address", carol, "!uninvite Carl@Example.org please", "✅", "", "c"},
		{"with a room and a reason", carol, "!uninvite carl@example.org !lobby:here sorry", "✅", "", "c"},
		{"as the bot", carol, "!uninvite --as-bot carl@example.org", "✅", "", "c"},
		{"dry run", carol, "!uninvite --dry-run carl@example.org", "", "Allowed: I would withdraw 1 invitation.", ""},
		{"another name", carol, "!uninvite Uncle Carl", "✅", "", "u"},
		{"two", carol, "!uninvite carl@example.org, \"Uncle Carl\"", "✅", "", "c u"},
		{"of somebody else", carol, "!uninvite ann@example.org", "", "power to kick", ""},
		{"with the power to kick", alice, "!uninvite ann@example.org", "✅", "", "a"},
		{"without any power", "@dan:here", "!uninvite dan@example.org", "", "needs power level 25 here, as inviting does, and you have 0. (withdraw.address.power)", ""},
		{"unknown", alice, "!uninvite eve@example.org", "", "No invitation to eve@example.org is open here. (withdraw.address.unknown)", ""},
		{"several", alice, "!uninvite bob@example.org", "", "bob@example.org fits 2 open invitations here.", ""},
		{"one of them twice in the room", alice, "!uninvite b...@e...", "✅", "", "b1 b2"},
		{"a stranger's name", alice, "!uninvite Nobody At All", "", "I know nobody called “Nobody At All” here.", ""},
		{"one of them unknown", alice, "!uninvite ann@example.org eve@example.org", "", "withdraw.address.unknown", ""},
		{"people beside", alice, "!uninvite @bob:here ann@example.org", "", "Please name addresses and people in commands of their own.", ""},
		{"outside the room", "@eve2:here", "!uninvite ann@example.org !lobby:here", "", "rooms that you are in", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			hs.Member(lobby, "@dan:here", "join")
			hs.Set(lobby, "m.room.power_levels", "", alice, power)
			now := d.Clock.Now()
			for _, a := range []struct {
				token, name string
				sender      id.UserID
			}{{"a", "a...@e...", alice}, {"b1", "b...@e...", alice}, {"b2", "b...@e...", alice}, {"c", "c...@e...", carol}, {"d", "d...@e...", "@dan:here"}, {"u", "Uncle Carl", carol}} {
				hs.Set(lobby, "m.room.third_party_invite", a.token, a.sender, map[string]any{"display_name": a.name, "public_key": "k"})
				observe(t, d, invites.MemberEvent{Event: id.EventID("$" + a.token), Room: lobby, Sender: a.sender, Membership: invites.AddressInvited, Token: a.token, Name: a.name,
					SentAt: now.Add(-time.Hour), SeenAt: now})
			}
			_, reply := say(t, d, lobby, tt.sender, tt.text)
			if reply.React != tt.react || !strings.Contains(reply.Text.String(), tt.has) || (tt.has == "" && !reply.Text.Empty()) {
				t.Errorf("got %q %q", reply.React, reply.Text.String())
			}
			var gone []string
			for _, token := range []string{"a", "b1", "b2", "c", "d", "u"} {
				key := room.Key{Type: room.TypeThirdParty, StateKey: token}
				snap, err := hs.Snapshot(t.Context(), lobby, alice, []room.Key{key}, true)
				if err != nil {
					t.Fatal(err)
				}
				if event, _ := snap.Event(key); string(event.Content) == "{}" {
					gone = append(gone, token)
				}
			}
			if got := strings.Join(gone, " "); got != tt.gone {
				t.Errorf("withdrawn are %q, want %q", got, tt.gone)
			}
		})
	}
}

// TestPendingAddress: !pending shows invitations of addresses, and !audit their withdrawal.
func TestPendingAddress(t *testing.T) {
	d, hs := newRunner(t)
	now := d.Clock.Now()
	hs.Set(lobby, "m.room.third_party_invite", "a", alice, map[string]any{"display_name": "a...@e...", "public_key": "k"})
	a := invites.MemberEvent{Event: "$a", Room: lobby, Sender: alice, Membership: invites.AddressInvited, Token: "a", Name: "a...@e...", SentAt: now.Add(-2 * time.Hour), SeenAt: now}
	b := invites.MemberEvent{Event: "$b", Room: lobby, Sender: carol, Membership: invites.AddressInvited, Token: "b", SentAt: now.Add(-time.Hour), SeenAt: now}
	observe(t, d, a)
	observe(t, d, b)
	want := "2 addresses invited by mail or telephone number:\na...@e... by @alice:here, 2 hours ago\nan address without a name by @carol:here, 60 minutes ago"
	if _, reply := say(t, d, lobby, carol, "!pending"); reply.Text.String() != want {
		t.Errorf("got %q", reply.Text.String())
	}
	seen(t, d, hs, bob, alice, time.Hour)
	if _, reply := say(t, d, lobby, carol, "!pending "); reply.Text.String() != want+"\n1 invitation open:\n@bob:here by @alice:here, 60 minutes ago" {
		t.Errorf("got %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, alice, "!uninvite ann@example.org"); reply.React != "✅" {
		t.Errorf("got %+v", reply)
	}
	if _, reply := say(t, d, lobby, alice, "!audit"); !strings.Contains(reply.Text.String(), "@alice:here withdrew the invitation of an address.") {
		t.Errorf("got %q", reply.Text.String())
	}
}
