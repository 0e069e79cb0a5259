package commands

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
)

// grow makes a branch of three levels: alice brought bob, bob brought carol; three invitations below bob are open.
func grow(t *testing.T, d *Runner, hs *invitestest.Homeserver) {
	t.Helper()
	for _, pair := range [][2]id.UserID{{alice, bob}, {bob, carol}} {
		seen(t, d, hs, pair[1], pair[0], 48*time.Hour)
		hs.Member(lobby, pair[1], "join")
		now := d.Clock.Now()
		observe(t, d, invites.MemberEvent{Event: "$j" + id.EventID(pair[1]), Room: lobby, Target: pair[1], Sender: pair[1], Membership: "join", SentAt: now, SeenAt: now})
	}
	seen(t, d, hs, "@open1:here", bob, 24*time.Hour)
	seen(t, d, hs, "@open2:here", carol, 23*time.Hour)
	seen(t, d, hs, "@open3:there", carol, 22*time.Hour)
	seen(t, d, hs, "@elsewhere:here", alice, 21*time.Hour)
}

func TestTree(t *testing.T) {
	d, hs := newRunner(t)
	if _, reply := say(t, d, lobby, alice, "!tree"); !strings.Contains(reply.Text.String(), "no invitations") {
		t.Errorf("got %q", reply.Text.String())
	}
	grow(t, d, hs)
	for text, want := range map[string]string{
		"!tree @bob": "@bob:here\n└ @carol:here\n____└ @open2:here (pending)\n____└ @open3:there (pending)\n└ @open1:here (pending)",
		"!tree ":     "@alice:here\n└ @bob:here",
	} {
		_, reply := say(t, d, lobby, alice, text)
		got := strings.ReplaceAll(reply.Text.String(), "\u00A0", "_")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
	for n := range 700 {
		seen(t, d, hs, id.UserID(fmt.Sprintf("@many%d:here", n)), alice, time.Hour)
	}
	_, reply := say(t, d, lobby, alice, "!tree  ")
	if lines := strings.Split(reply.Text.String(), "\n"); len(lines) != maxTreeLines+1 || !strings.HasPrefix(lines[maxTreeLines], "… and more") {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	_, reply = say(t, d, lobby, alice, "!tree --picture")
	if reply.Image == nil || !strings.Contains(reply.Image.Caption, "the first 500 people") {
		t.Fatalf("got %+v", reply)
	}
	c := reply.Picture(Message{Event: "$x"}, "mxc://here/tree")
	if c.MsgType != "m.image" || c.URL != "mxc://here/tree" || c.Info.Width != reply.Image.Width || c.RelatesTo.GetReplyTo() != "$x" {
		t.Errorf("%+v", c)
	}
}

func TestStats(t *testing.T) {
	d, hs := newRunner(t)
	grow(t, d, hs)
	_, reply := say(t, d, lobby, carol, "!stats")
	want := "Since 2025-10-13: 6 sent, 2 accepted, 4 pending.\nWeek of 2025-12-29: 6 sent, 2 accepted, 4 pending\n" +
		"@alice:here: 2 sent, 1 accepted, 1 pending\n@bob:here: 2 sent, 1 accepted, 1 pending\n@carol:here: 2 sent, 2 pending"
	if reply.Text.String() != want {
		t.Errorf("got %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, carol, "!stats --picture"); reply.Image == nil || reply.Image.Name != "invitations.png" {
		t.Errorf("got %+v", reply)
	}
}

func TestPrune(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"users": map[string]any{alice.String(): 100}})
	grow(t, d, hs)
	if _, reply := say(t, d, lobby, carol, "!prune @bob"); reply.Progress || !strings.Contains(reply.Text.String(), "kick.power") {
		t.Errorf("without the power: %q", reply.Text.String())
	}
	var asked invites.Received
	_, reply := say(t, d, lobby, alice, "!prune  @bob", func(ev *invites.Received) { asked = *ev })
	if want := "This withdraws 3 invitations:\n@open1:here\n@open2:here\n@open3:there\nReact with ✅ within 15 minutes"; !reply.Progress || !strings.HasPrefix(reply.Text.String(), want) {
		t.Errorf("got %q", reply.Text.String())
	}
	if len(hs.Acts()) != 0 {
		t.Fatal("it did not wait for a confirmation")
	}
	d.Clock.(*invitestest.Clock).Advance(time.Minute)
	seen(t, d, hs, "@later:here", bob, 0)
	card := confirmation(t, d)
	if ballot := confirm(t, d, card, carol, invites.Accept); ballot.Code != cards.CodeVoteOther || len(hs.Acts()) != 0 {
		t.Errorf("somebody else decides: %+v", ballot)
	}
	hs.Create("!elsewhere:here", "11", alice)
	var again invites.Received
	if _, reply = say(t, d, lobby, alice, "!prune  @bob", func(ev *invites.Received) { ev.Event = asked.Event; again = *ev }); !strings.Contains(reply.Text.String(), "withdraws 3") {
		t.Errorf("given again before its card is shown: %q", reply.Text.String())
	}
	if got := confirmation(t, d); got.ID != card.ID || len(got.Targets) != 3 || got.Room != lobby || again.Event != asked.Event {
		t.Errorf("got %+v", got)
	}
	if ballot := confirm(t, d, card, alice, invites.Accept); ballot.Card.State != invites.CardAccepted || len(hs.Acts()) != 3 {
		t.Errorf("got %+v and %d acts", ballot, len(hs.Acts()))
	}
	if confirm(t, d, card, alice, invites.Accept); len(hs.Acts()) != 3 {
		t.Errorf("again: %d acts", len(hs.Acts()))
	}
	if _, reply = say(t, d, lobby, alice, "!prune  @bob", func(ev *invites.Received) { ev.Event = asked.Event }); !reply.Progress || !reply.Empty() {
		t.Errorf("given again after the confirmation: %+v", reply)
	}
}

// confirmation returns the one open confirmation.
func confirmation(t *testing.T, d *Runner) invites.Card {
	t.Helper()
	open, err := d.Cards.Store.OpenCards(t.Context(), invites.CardQuery{Kind: invites.CardConfirm})
	if err != nil || len(open) != 1 {
		t.Fatalf("%d confirmations: %v", len(open), err)
	}
	card, err := d.Cards.Store.CardOf(t.Context(), open[0].Command, open[0].Action, open[0].Room, open[0].Target)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// confirm votes on a confirmation and carries it out.
func confirm(t *testing.T, d *Runner, card invites.Card, voter id.UserID, choice invites.Choice) cards.Ballot {
	t.Helper()
	ballot, err := d.Cards.Vote(t.Context(), card, invites.Vote{Voter: voter, Choice: choice, Room: lobby, Event: id.EventID("$vote" + voter), At: d.Clock.Now()})
	if err == nil {
		_, err = d.Cards.CarryOut(t.Context(), ballot.Card)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ballot
}

// TestPruneDeclined: a declined confirmation and one of a redacted command do nothing.
func TestPruneDeclined(t *testing.T) {
	d, hs := newRunner(t)
	grow(t, d, hs)
	say(t, d, lobby, alice, "!prune @bob")
	ballot := confirm(t, d, confirmation(t, d), alice, invites.Decline)
	if reply := d.Closed(ballot.Card, invites.Change{}); reply.Text.String() != "Left as it is." || len(hs.Acts()) != 0 {
		t.Errorf("got %q and %d acts", reply.Text.String(), len(hs.Acts()))
	}
	say(t, d, lobby, alice, "!prune @bob", func(ev *invites.Received) { ev.Event = "$second" })
	hs.Redact("$second")
	ballot = confirm(t, d, confirmation(t, d), alice, invites.Accept)
	if reply := d.Closed(ballot.Card, invites.Change{}); ballot.Card.State != invites.CardCancelled || !strings.Contains(reply.Text.String(), "taken back") || len(hs.Acts()) != 0 {
		t.Errorf("got %q and %d acts", reply.Text.String(), len(hs.Acts()))
	}
	say(t, d, lobby, alice, "!prune @bob", func(ev *invites.Received) { ev.Event = "$third" })
	d.Clock.(*invitestest.Clock).Advance(time.Hour)
	ballot = confirm(t, d, confirmation(t, d), alice, invites.Accept)
	if reply := d.Closed(ballot.Card, invites.Change{}); ballot.Card.State != invites.CardExpired || !strings.Contains(reply.Text.String(), "Nobody confirmed") || len(hs.Acts()) != 0 {
		t.Errorf("got %q and %d acts", reply.Text.String(), len(hs.Acts()))
	}
}

// TestPruneSaysWhoStays: the card lists the invitations that the asker can't withdraw, wherever in the branch they are.
func TestPruneSaysWhoStays(t *testing.T) {
	equals := func(users ...id.UserID) map[string]any {
		all := map[string]any{alice.String(): 100}
		for _, user := range users {
			all[string(user)] = 100
		}
		return map[string]any{"users": all}
	}
	const outranks = "To withdraw the invitation of somebody, one must stand above them; "
	for _, tt := range []struct {
		name   string
		sender id.UserID
		levels map[string]any
		left   id.UserID // not invited any more, which the ledger does not know yet
		card   bool
		want   string
	}{
		{"the last stands as high", alice, equals("@open3:there"), "", true, "This withdraws 2 invitations:\n@open1:here\n@open2:here\n" +
			"As things are, 1 other would stay:\n@open3:there: " + outranks + "@open3:there has power level 100, and you have 100. Ask somebody with more power. (kick.outranked)\nReact with ✅"},
		{"one is gone", alice, equals(), "@open2:here", true, "This withdraws 2 invitations:\n@open1:here\n@open3:there\n" +
			"As things are, 1 other would stay:\n@open2:here: @open2:here has no open invitation here. (withdraw.not_invited)\nReact with ✅"},
		{"the first is gone, and no power for the others", carol, equals(), "@open1:here", false,
			"Of 3 invitations, none can be withdrawn:\n@open1:here: @open1:here has no open invitation here. (withdraw.not_invited)\n@open2:here and 1 more: Withdrawing"},
		{"no power for any", carol, equals(), "", false, "Of 3 invitations, none can be withdrawn:\n@open1:here and 2 more: Withdrawing an invitation, even one's own, counts as a kick: " +
			"it needs power level 50 here, and you have 0. An admin can raise you to 50, or lower what it takes to kick. (kick.power)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			grow(t, d, hs)
			hs.Set(lobby, "m.room.power_levels", "", alice, tt.levels)
			if tt.left != "" {
				hs.Member(lobby, tt.left, "leave")
			}
			if _, reply := say(t, d, lobby, tt.sender, "!prune @bob"); reply.Progress != tt.card || !strings.HasPrefix(reply.Text.String(), tt.want) {
				t.Errorf("card %t: %q\nwant %q", reply.Progress, reply.Text.String(), tt.want)
			}
			if len(hs.Acts()) != 0 {
				t.Error("it did not wait")
			}
		})
	}
}

func TestPruneInVain(t *testing.T) {
	d, hs := newRunner(t)
	grow(t, d, hs)
	for text, want := range map[string]string{"!prune @nobody": "Nobody in that branch has an open invitation.", "!prune @bob @carol": "Please name one branch", "!prune": "Please name the people"} {
		if _, reply := say(t, d, lobby, alice, text); reply.Progress || !strings.HasPrefix(reply.Text.String(), want) {
			t.Errorf("%s: %q", text, reply.Text.String())
		}
	}
	late := func(ev *invites.Received) { ev.ReceivedAt = ev.ReceivedAt.Add(-time.Hour); ev.SentAt = ev.ReceivedAt }
	if _, reply := say(t, d, lobby, alice, "!prune  @bob", late); reply.Progress || !strings.Contains(reply.Text.String(), "Nobody confirmed") {
		t.Errorf("got %q", reply.Text.String())
	}
}
