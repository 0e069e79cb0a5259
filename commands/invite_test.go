package commands

import (
	"strings"
	"testing"

	"usher/invites"
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

// TestHomeserversWords: a refusal has the homeserver's own words and each code once; trouble that passes has the words, too.
func TestHomeserversWords(t *testing.T) {
	refused := func(code, words string) *invites.ActError {
		return &invites.ActError{Class: invites.ClassRefused, Status: 403, Code: code, Words: words}
	}
	for _, tt := range []struct {
		answer *invites.ActError
		want   string
	}{
		{refused("M_FORBIDDEN", "no invitations at night"), "The homeserver refused: it said “no invitations at night”. (M_FORBIDDEN)"},
		{refused("ORG.EXAMPLE.CLOSED", ""), "The homeserver refused: it gave no reason. (ORG.EXAMPLE.CLOSED)"},
		{refused("M_INVITE_BLOCKED", ""), "The homeserver refused: this person takes no invitations from you. (M_INVITE_BLOCKED)"},
		{refused("ORG.MATRIX.MSC4155.M_INVITE_BLOCKED", "blocked"), "this person takes no invitations from you; it said “blocked”. (ORG.MATRIX.MSC4155.M_INVITE_BLOCKED)"},
		{&invites.ActError{Class: invites.ClassFailed, Status: 403, Code: "M_UNKNOWN", Words: "Failed to connect to antispam server"},
			"the homeserver has trouble (it said “Failed to connect to antispam server”); I try again in a moment."},
	} {
		d, hs := newRunner(t)
		hs.Before = func(invites.Effect) error { return tt.answer }
		if _, reply := say(t, d, lobby, alice, "!invite @bob:here"); !strings.Contains(reply.Text.String(), tt.want) {
			t.Errorf("%s: %q, want %q", tt.answer.Code, reply.Text.String(), tt.want)
		}
	}
}
