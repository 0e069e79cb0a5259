package commands

import (
	"strings"
	"testing"
)

// TestReplacedRoom: in a room that was replaced, an invitation without a room is a question.
func TestReplacedRoom(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.tombstone", "", alice, map[string]any{"replacement_room": "!next:here"})
	for text, asks := range map[string]bool{
		"!invite @bob:here": true, "!invite @bob:here --dry-run": true, "!why @bob:here": true,
		"!invite @dan:here " + string(lobby): false, "!why @dan:here " + string(lobby): false, "!why @dan:here kick": false,
	} {
		_, reply := say(t, d, lobby, alice, text)
		if got := reply.Text.String(); strings.Contains(got, "!next:here") != asks {
			t.Errorf("%s: %s", text, got)
		}
	}
	hs.Set(lobby, "m.room.tombstone", "", alice, map[string]any{"body": "closed"})
	if _, reply := say(t, d, lobby, alice, "!why @bob:here invite"); strings.Contains(reply.Text.String(), "room.replaced") {
		t.Errorf("no room replaces it: %s", reply.Text.String())
	}
}

// TestInviteTheBotAgain: the bot asks again to join a room to which it is invited already.
func TestInviteTheBotAgain(t *testing.T) {
	d, hs := newRunner(t)
	hs.Create("!far:here", "11", alice)
	hs.Member("!far:here", "@usher:here", "invite")
	_, reply := say(t, d, lobby, alice, "!invite @usher:here !far:here")
	if got := reply.Text.String(); !strings.Contains(got, "(invite.already)") || !strings.Contains(got, "I ask the homeserver again") {
		t.Errorf("answered %q", got)
	}
}
