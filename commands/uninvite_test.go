package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
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
