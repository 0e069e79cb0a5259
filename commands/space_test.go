package commands

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites/invitestest"
	"usher/invites/spaces"
)

// club makes a space of alice's with a room that is open, and two that are not.
func club(hs *invitestest.Homeserver) (space id.RoomID) {
	space = "!club:here"
	for _, pair := range [][2]string{{string(space), "invite"}, {"!open:here", "public"}, {"!board:here", "invite"}, {"!files:here", "invite"}, {"!staff:here", "restricted"}} {
		r, rule := id.RoomID(pair[0]), pair[1]
		hs.Create(r, "11", alice, invitestest.Bot)
		hs.Set(r, "m.room.name", "", alice, map[string]any{"name": "Name of " + string(r)})
		hs.Set(r, "m.room.join_rules", "", alice, map[string]any{"join_rule": rule, "allow": []any{map[string]any{"type": "m.room_membership", "room_id": space}}})
		if r != space {
			hs.Set(space, "m.space.child", string(r), alice, map[string]any{"via": []string{"here"}, "order": string(r[1:2])})
		}
	}
	hs.Set(space, "m.room.create", "", alice, map[string]any{"room_version": "11", "creator": alice, "type": "m.space"})
	return space
}

// TestSpaceTree: rooms that others in the room of the command may not know are counted there, and named in a direct chat with the asker.
func TestSpaceTree(t *testing.T) {
	d, hs := newRunner(t)
	space := club(hs)
	command := "!why @bob:here " + string(space) + " --space"
	const named = "\n— ✉️ !board:here: needs an invitation.\n— ✉️ !files:here: needs an invitation."
	for in, want := range map[id.RoomID]string{
		lobby: `@bob:here in the space:
✉️ the space: needs an invitation.
— 🚪 !open:here: open to everybody.
— ✉️ 2 rooms that I do not name here: needs an invitation.
— 🚪 one room that I do not name here: comes in as a member of the space.
Others in this room may not know them. In a direct chat with me, I name them.`,
		space: `@bob:here in the space:
✉️ !club:here: needs an invitation.
— 🚪 !open:here: open to everybody.
— 🚪 !staff:here: comes in as a member of the space.
— ✉️ 2 rooms that I do not name here: needs an invitation.
Others in this room may not know them. In a direct chat with me, I name them.`,
		"!direct:here": "@bob:here in the space:\n✉️ !club:here: needs an invitation." + named + "\n— 🚪 !open:here: open to everybody.\n— 🚪 !staff:here: comes in as a member of the space.",
	} {
		if _, reply := say(t, d, in, alice, command); reply.Text.String() != want {
			t.Errorf("%s: got\n%s", in, reply.Text.String())
		}
	}
	came := spaces.Came{Tree: spaces.Tree{Space: space, Target: bob, Nodes: []spaces.Node{{Room: "!board:here", Depth: 1, Standing: spaces.Invited, Hidden: true}}}, Hidden: true}
	for alone, want := range map[bool]string{
		false: "@bob:here has joined the space:\n— ✅ one room that I do not name here: is invited.\nOthers in this room may not know them. In a direct chat with me, I name them.",
		true:  "@bob:here has joined !club:here:\n— ✅ !board:here: is invited.",
	} {
		if reply := d.CameToSpace(came, alone); reply.Text.String() != want {
			t.Errorf("alone %v: %s", alone, reply.Text.String())
		}
	}
}
