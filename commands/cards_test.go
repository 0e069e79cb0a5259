package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

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
