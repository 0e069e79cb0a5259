package commands

import (
	"context"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/ledger"
	"usher/picture"
	"usher/policy"
	"usher/room"
	"usher/words"
)

func treeCommand() Command {
	return Command{
		Name: "tree", Level: User,
		Words: []string{"invitetree", "invite-tree"}, Loose: []string{"graph"},
		See:    []string{"whoinvited", "stats"},
		Params: []Param{user().optional(), inRoom(), asPicture()},
		Run:    runTree,
	}
}

func asPicture() Param { return flag("picture", room.Say("param.picture")) }

// How much of a tree is shown.
const (
	maxTreeLines = 60
	maxTreeRows  = 500
	maxNotedRows = 100 // from here on a picture leaves the dates out
)

func runTree(ctx context.Context, c *Call) (Reply, error) {
	root := c.person("user")
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return Reply{}, err
	}
	limit := maxTreeLines
	if c.has("picture") {
		limit = maxTreeRows
	}
	tree, err := c.Ledger.Tree(ctx, c.Message.Sender, in, root, limit)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	if len(tree.Nodes) == 0 || (root != "" && len(tree.Nodes) == 1) {
		reply.Text.Say("tree.none")
		return reply, nil
	}
	if c.has("picture") {
		return c.treePicture(ctx, tree, dark(ctx, c, in))
	}
	for i, node := range tree.Nodes {
		if i > 0 {
			reply.Text.Line()
		}
		indent, fate := "", invites.Fate("")
		if node.Depth > 0 {
			indent = strings.Repeat("\u00A0\u00A0\u00A0\u00A0", node.Depth-1) + "└ "
			fate = node.Entry.Fate
		}
		if fate == invites.FateAccepted {
			fate = ""
		}
		reply.Text.Say("tree.row", "indent", indent, "user", node.User, "fate", fate)
	}
	if tree.More {
		reply.Text.Line().Say("tree.more", "most", maxTreeRows)
	}
	return reply, nil
}

// tint is how a fate is painted.
func tint(f invites.Fate) picture.Tint {
	switch f {
	case invites.FateAccepted:
		return picture.Good
	case invites.FatePending:
		return picture.Open
	case invites.FateDeclined, invites.FateBanned:
		return picture.Bad
	}
	return picture.Absent
}

// dark reports whether pictures about a room are dark.
func dark(ctx context.Context, c *Call, in id.RoomID) bool {
	p, err := c.Judge.Policies.Of(ctx, in, c.Message.Sender)
	return err == nil && p != nil && p.Document.Pictures == policy.Dark
}

func (c *Call) treePicture(ctx context.Context, tree ledger.Tree, dark bool) (Reply, error) {
	rows := make([]picture.Row, len(tree.Nodes))
	for i, node := range tree.Nodes {
		rows[i] = picture.Row{Name: visible(string(node.User)), Depth: node.Depth}
		if node.Depth > 0 {
			rows[i].Tint = tint(node.Entry.Fate)
		}
		if node.Depth > 0 && len(tree.Nodes) <= maxNotedRows {
			rows[i].Note = node.Entry.At.UTC().Format("2006-01-02")
		}
	}
	first := ""
	if tree.More {
		first = "first"
	}
	subtitle := room.Say("picture.people", "first", first, "n", len(rows), "at", when(c.Clock.Now()))
	v := words.For(c.Language(ctx, c.Message.Room))
	meaning := meanings(v)
	meaning[picture.Plain] = v.Text(room.Say("picture.plain"))
	c.Drawing.Lock()
	defer c.Drawing.Unlock()
	drawn, err := picture.Tree{Title: v.Text(room.Say("picture.tree")), Subtitle: v.Text(subtitle), Rows: rows, Meaning: meaning, Dark: dark}.Draw()
	if err != nil {
		return Reply{}, err
	}
	return Reply{Image: &Image{drawn, "tree.png", v.Text(room.Say("picture.caption").Holding(subtitle))}}, nil
}
