package commands

import (
	"context"
	"errors"
	"strings"

	"usher/invites/spaces"
	"usher/policy"
	"usher/room"
)

// spaceFlag has a command concern a space and the rooms in it.
func spaceFlag() Param { return flag("space", room.Say("param.space")) }

// marks are the signs of the standings.
var marks = map[spaces.Standing]string{
	spaces.Joined: "✅", spaces.Invited: "✅", spaces.Membership: "🚪", spaces.Open: "🚪", spaces.Wanted: "✉️", spaces.Later: "⏳", spaces.Sending: "⏳",
	spaces.Approval: "⏳", spaces.Refused: "❌", spaces.Unseen: "❔", spaces.Withdrawn: "✅",
}

// standings are the standings in words.
var standings = map[spaces.Standing]room.Phrase{
	spaces.Joined: room.Say("space.joined"), spaces.Invited: room.Say("space.invited"), spaces.Membership: room.Say("space.membership"), spaces.Open: room.Say("space.open"),
	spaces.Wanted: room.Say("space.wanted"), spaces.Later: room.Say("space.later"), spaces.Sending: room.Say("space.sending"), spaces.Approval: room.Say("space.approval"),
	spaces.Refused: room.Say("space.refused"), spaces.Unseen: room.Say("space.unseen"), spaces.Withdrawn: room.Say("space.withdrawn"),
}

// inSpace runs a command about a space for each person that it names. action is room.Invite or policy.ActionWithdraw.
func inSpace(ctx context.Context, c *Call, action room.ActionType, dryRun bool) (reply Reply, err error) {
	users := c.people("user")
	if len(users) > spaces.MaxPeople {
		return reply, fault(room.Say("space.people", "most", spaces.MaxPeople))
	}
	in, err := c.joinedRoom(ctx)
	if err == nil && !c.has("room") {
		in, err = c.Spaces.Of(ctx, in, c.Message.Sender)
	}
	if err != nil {
		return reply, spaceFault(err)
	}
	failed, went := 0, 0
	for _, user := range users {
		w := spaces.Wish{
			Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Space: in, Target: user, Reason: c.text("reason"), AsBot: c.has("as-bot"),
			Now: c.has("now"), Suggested: c.has("suggested"),
		}
		var tree spaces.Tree
		switch {
		case action == policy.ActionWithdraw:
			tree, err = c.Spaces.Uninvite(ctx, w, dryRun)
		case dryRun:
			tree, err = c.Spaces.Tree(ctx, w)
		default:
			tree, err = c.Spaces.Invite(ctx, w)
		}
		if err != nil {
			return reply, spaceFault(err)
		}
		if !reply.Text.Empty() {
			reply.Text.Line()
		}
		reply.Text.Add(treeOf(tree, c.Chat.DirectWith(w.CommandRoom) == w.Actor))
		for _, n := range tree.Nodes {
			if n.Standing == spaces.Refused || n.Standing == spaces.Unseen {
				failed++
			} else {
				went++
			}
		}
	}
	switch {
	case dryRun || went == 0:
	case failed > 0:
		reply.React = partly
	default:
		reply.React = "✅"
	}
	return reply, nil
}

// treeOf words a tree. alone says that nobody but the asker reads it.
func treeOf(tree spaces.Tree, alone bool) (t Text) {
	if len(tree.Nodes) == 0 {
		t.Say("space.nothing", "target", tree.Target)
		return t
	}
	t.Say("space.tree", "target", tree.Target)
	tellRooms(&t, tree.Nodes, alone)
	if !tree.Whole {
		t.Line().Say("space.cut", "n", len(tree.Nodes))
	}
	return t
}

// tellRooms words the standings in the rooms of a space, one line for each. Rooms that other readers may not know are only counted, by their standing
// and code.
func tellRooms(t *Text, nodes []spaces.Node, alone bool) {
	type unnamed struct {
		spaces.Standing
		code string
	}
	var order []unnamed
	count := map[unnamed]int{}
	for _, n := range nodes {
		if n.Hidden && !alone && n.Depth > 0 {
			key := unnamed{n.Standing, n.Code}
			if count[key]++; count[key] == 1 {
				order = append(order, key)
			}
			continue
		}
		if n.Hidden && !alone {
			n.Name, n.Room = "", ""
		}
		why := n.Why
		if why.Empty() {
			why = standings[n.Standing]
		}
		t.Line().Tell(room.Say("space.row", "mark", strings.Repeat("— ", n.Depth)+marks[n.Standing], "name", n.Name, "room", n.Room).Holding(why))
		tellCode(t, n.Standing, n.Code)
	}
	for _, key := range order {
		t.Line().Tell(room.Say("space.hidden", "mark", "— "+marks[key.Standing], "n", count[key]).Holding(standings[key.Standing]))
		tellCode(t, key.Standing, key.code)
	}
	if len(order) > 0 {
		t.Line().Say("space.hint")
	}
}

// tellCode adds the code of a standing.
func tellCode(t *Text, s spaces.Standing, code string) {
	if code != "" && s != spaces.Unseen {
		t.Reason(code)
	}
}

// spaceFault words an error about a space.
func spaceFault(err error) error {
	switch {
	case errors.Is(err, spaces.ErrNoSpace):
		return fault(room.Say("space.none"))
	case errors.Is(err, spaces.ErrWhichSpace):
		return fault(room.Say("space.which"))
	}
	return err
}

// CameToSpace tells an asker what became of the rooms of a space after somebody joined it. alone says that nobody else reads it.
func (n Notices) CameToSpace(came spaces.Came, alone bool) (reply Reply) {
	in := came.Space
	if came.Hidden && !alone {
		in = ""
	}
	reply.Text.Say("space.came", "target", came.Target, "room", in)
	tellRooms(&reply.Text, came.Nodes, alone)
	return reply
}
