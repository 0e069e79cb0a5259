package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites/cards"
	"usher/policy"
)

// TestCards lists the open questions of a room, to people who see the cards or whose question it is.
func TestCards(t *testing.T) {
	d := newCourt(t)
	_, reply := say(t, d, lobby, dora, "!cards")
	want := []string{
		"4 open questions:", "#1: @carol:here asks to invite @bob:here, just now", "#2: @guest0:there knocks, just now: “hello”", "#3: @guest1:there knocks, just now: “hello”",
		"#4: @guest2:there knocks, just now: “hello”", "To decide, say !approve 1 or !deny 1, or react on the card.",
	}
	if got := reply.Text.String(); got != strings.Join(want, "\n") {
		t.Errorf("%s", got)
	}
	if _, reply := say(t, d, "!other:here", carol, "!cards !lobby:here"); !strings.Contains(reply.Text.String(), "4 open questions") {
		t.Errorf("from elsewhere: %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, bob, "!cards  "); !strings.Contains(reply.Text.String(), "rooms that you are in") {
		t.Errorf("a stranger: %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, carol, "!pending"); !strings.Contains(reply.Text.String(), "@bob:here, asked for by @carol:here, just now: waits for approval as #1") {
		t.Errorf("pending: %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, carol, "!uninvite @bob:here"); reply.React != "✅" {
		t.Errorf("taking it back: %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, dora, "!approve 1"); !strings.Contains(reply.Text.String(), "decided already") {
		t.Errorf("voting afterwards: %q", reply.Text.String())
	}
}

// TestCardsShownElsewhere: of cards in another room, people without power hear of their own only.
func TestCardsShownElsewhere(t *testing.T) {
	d, hs := newRunner(t)
	const office = id.RoomID("!office:here")
	hs.Create(office, "11", alice, "@usher:here", dora)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100}})
	hs.Member(lobby, dora, "join")
	hs.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "approval": map[string]any{"required": true, "room": office}})
	say(t, d, lobby, carol, "!invite @bob:here he wrote the book")
	for _, tt := range []struct {
		sender    id.UserID
		in        id.RoomID
		say, want string
	}{
		{carol, lobby, "!cards", "1 open question:\n#1 in !office:here: @carol:here asks to invite @bob:here, just now: “he wrote the book”"},
		{alice, lobby, "!cards ", "1 open question:"},
		{dora, lobby, "!cards  ", "No question is open here."},
		{dora, office, "!cards   ", "1 open question:\n#1: @carol:here asks"},
		{carol, office, "!cards    ", "rooms that you are in"},
	} {
		if _, reply := say(t, d, tt.in, tt.sender, tt.say); !strings.Contains(reply.Text.String(), tt.want) {
			t.Errorf("%s in %s: %q, want %q", tt.sender, tt.in, reply.Text.String(), tt.want)
		}
	}
}

// TestKnocksElsewhere: where the policy has knocks shown in another room, their own room lists them, too; without a desk, nobody is said not to knock.
func TestKnocksElsewhere(t *testing.T) {
	d, hs := newRunner(t)
	const office = id.RoomID("!office:here")
	hs.Create(office, "11", alice, "@usher:here", dora)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100}})
	if _, reply := say(t, d, lobby, carol, "!knocks"); !strings.Contains(reply.Text.String(), "the room's policy has no desk") {
		t.Errorf("without a desk: %q", reply.Text.String())
	}
	hs.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "knocks": map[string]any{"desk": true, "room": office}})
	hs.Member(lobby, "@guest:there", "knock")
	k := cards.Knock{Event: "$knock", Room: lobby, User: "@guest:there", Reason: "hello"}
	if _, err := (&cards.Knocks{Cards: d.Cards, Store: d.Cards.Store.(cards.KnockStore)}).Receive(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sender    id.UserID
		in        id.RoomID
		say, want string
	}{
		{carol, lobby, "!knocks ", "#1 in !office:here @guest:there, just now: “hello”\nTo decide in another room, name it: !approve 1 !office:here."},
		{dora, office, "!knocks  ", "#1 @guest:there, just now: “hello”"},
		{dora, office, "!knocks accept all", "!knocks accept 1."},
		{alice, lobby, "!knocks accept all ", "This would let in one person:\n#1 in !office:here"},
		{carol, lobby, "!approve 1 !office:here", "vote.power"},
		{alice, lobby, "!deny 1 !office:here", ""},
	} {
		if _, reply := say(t, d, tt.in, tt.sender, tt.say); !strings.Contains(reply.Text.String(), tt.want) || tt.want == "" && reply.React != "✅" {
			t.Errorf("%s in %s: %q %q, want %q", tt.sender, tt.in, reply.React, reply.Text.String(), tt.want)
		}
	}
}

// TestDeskOfSpace: whoever sets up questions in a space is told that clients show none there.
func TestDeskOfSpace(t *testing.T) {
	d, hs := newRunner(t)
	const space = id.RoomID("!space:here")
	hs.Create(space, "11", alice, "@usher:here")
	hs.Set(space, "m.room.create", "", alice, map[string]any{"room_version": "11", "creator": alice, "type": "m.space"})
	for _, tt := range []struct {
		say   string
		warns bool
	}{
		{"!policy !space:here set knocks.desk true", true}, {"!policy !lobby:here set knocks.desk true", false},
		{"!policy !space:here set knocks.room !lobby:here", false}, {"!policy !space:here preset moderated", true},
	} {
		_, reply := say(t, d, lobby, alice, tt.say)
		if got := reply.Text.String(); reply.React != "✅" || strings.Contains(got, "Clients do not show the messages of a space") != tt.warns {
			t.Errorf("%s: %q", tt.say, got)
		}
	}
}
