package commands

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
)

// TestLinkCommands: a link from its making to its end, as its maker, a moderator and a member see it.
func TestLinkCommands(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "kick": 50, "users": map[string]any{string(alice): 100}})
	tells := func(sender id.UserID, command string, parts ...string) string {
		t.Helper()
		_, reply := say(t, d, lobby, sender, command)
		text := reply.Text.String()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q lacks %q", command, text, part)
			}
		}
		return text
	}
	address := regexp.MustCompile(`https://usher\.example/i/[\w-]{24}`)
	if text := tells(alice, "!link create", "Link #1", "20 people", "7 days", "!link show 1 --address"); address.MatchString(text) {
		t.Errorf("the secret in a room: %s", text)
	}
	text := tells(alice, "!link create --here --uses=3 --for 1s --note \"for the fair\" --approve --show name,members", "Link #2", "3 people", "for 1 second.", "approval")
	secret := links.Secret(text[strings.LastIndex(address.FindString(text), "/")+strings.Index(text, "https")+1:][:24])
	l, err := d.Links.ByPage(t.Context(), secret)
	if err != nil || l.Note != "for the fair" || l.ExpiresAt.Sub(l.CreatedAt) != time.Second || !l.Approve || len(l.Shows) != 2 || l.MaxUses != 3 {
		t.Fatalf("%+v, %v", l, err)
	}
	tells(alice, "!link", "2 links", "#1", "#2", "for the fair", "with approval")
	tells(carol, "!link", "There are no invite links")
	tells(carol, "!link show 2", "There is no such link")
	tells(carol, "!link create", "invite.power")
	tells(alice, "!link show 2", "Into !lobby:here")
	if text := tells(alice, "!link show 2 --address --here", "https://usher.example/i/"); strings.Contains(text, string(secret)) {
		t.Error("the same secret twice")
	}
	if _, reply := say(t, d, lobby, alice, "!link qr 2"); reply.Image != nil {
		t.Error("a QR code in a room")
	}
	if _, reply := say(t, d, lobby, alice, "!link qr 2 --here"); reply.Image == nil || len(reply.Image.PNG) == 0 {
		t.Error("no QR code")
	}
	const secretly = id.RoomID("!secret:here")
	hs.Create(secretly, "11", carol, "@usher:here")
	if _, reply := say(t, d, lobby, carol, "!link create --room !secret:here --room !lobby:here"); !strings.Contains(reply.Text.String(), "invite.power") {
		t.Errorf("into a room without power: %q", reply.Text.String())
	}
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "kick": 50, "users": map[string]any{string(alice): 100}})
	tells(carol, "!link create --room !secret:here --room !lobby:here ", "Link #3")
	tells(carol, "!link show 3", "Into !secret:here", "Into !lobby:here")
	if text := tells(alice, "!link show 3", "Into !lobby:here"); strings.Contains(text, "secret") {
		t.Errorf("a moderator of one room hears of others: %s", text)
	}
	tells(alice, "!link revoke 1", "Link #1 is revoked")
	tells(alice, "!link show 1", "does not work", "link.revoked")
	for command, part := range map[string]string{
		"!link create --uses 1001 ": "at most 1000 times", "!link create --uses many": "--uses can't be “many”", "!link create --for 3": "--for can't be “3”", "!link create --show secrets": "but not “secrets”",
		"!link create --uses": "A value is missing behind --uses", "!link create --address": "--address", "!link show": "Please name a link", "!link show 99": "no such link",
		"!link create --uses 3 --uses 4": "--uses can't be “4”",
	} {
		tells(alice, command, part)
	}
}

// TestRedeem: the code of a link lets its sender in, in a direct chat only, and a wrong one tells nothing.
func TestRedeem(t *testing.T) {
	d, hs := newRunner(t)
	_, secret, err := d.Links.Create(t.Context(), links.Wish{Maker: alice, Rooms: []id.RoomID{lobby}})
	if err != nil {
		t.Fatal(err)
	}
	if _, reply := say(t, d, lobby, bob, "!redeem "+secret.Code()); !strings.Contains(reply.Text.String(), "direct chat") || len(hs.Acts()) != 0 {
		t.Errorf("in a room: %s", reply.Text.String())
	}
	const direct = id.RoomID("!bobs:here")
	if _, reply := say(t, d, direct, bob, "!redeem AAAAA-AAAAA-AAAAA-AAAAA-AAAAA-A"); !strings.Contains(reply.Text.String(), "doesn't let you in") {
		t.Errorf("a guess: %s", reply.Text.String())
	}
	if _, reply := say(t, d, direct, bob, "redeem "+secret.Code()); !strings.Contains(reply.Text.String(), "You are invited") || len(hs.Acts()) != 1 || hs.Acts()[0].Target != bob {
		t.Errorf("the code: %s, %v", reply.Text.String(), hs.Acts())
	}
	if _, err := d.Links.ByCode(t.Context(), "x"); !errors.Is(err, invites.ErrNotFound) {
		t.Error(err)
	}
}
