package commands

import (
	"context"
	"fmt"
	"strings"

	"usher/invites"
	"usher/invites/ledger"
	"usher/picture"
)

func treeCommand() Command {
	return Command{
		Name: "tree", Level: User,
		About:  "Shows who invited whom: the branch of one person, or everybody.",
		Params: []Param{user().optional(), inRoom(), asPicture()},
		Run:    runTree,
	}
}

func asPicture() Param { return flag("picture", "draw a picture") }

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
		reply.Text.Say("I have seen no invitations that would make a tree.")
		return reply, nil
	}
	if c.has("picture") {
		return c.treePicture(tree)
	}
	for i, node := range tree.Nodes {
		if i > 0 {
			reply.Text.Line()
		}
		if node.Depth > 0 {
			reply.Text.Say(strings.Repeat("\u00A0\u00A0\u00A0\u00A0", node.Depth-1) + "└ ")
		}
		reply.Text.Code(string(node.User))
		if node.Depth > 0 && node.Entry.Fate != invites.FateAccepted {
			reply.Text.Say(" (" + string(node.Entry.Fate) + ")")
		}
	}
	if tree.More {
		reply.Text.Line().Sayf("… and more. --picture shows up to %d people.", maxTreeRows)
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

func (c *Call) treePicture(tree ledger.Tree) (Reply, error) {
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
	count := plural(len(rows), "person")
	if len(rows) != 1 {
		count = fmt.Sprintf("%d people", len(rows))
	}
	if tree.More {
		count = "the first " + count
	}
	subtitle := count + " · as of " + c.Clock.Now().UTC().Format("2006-01-02 15:04") + " UTC"
	c.Drawing.Lock()
	defer c.Drawing.Unlock()
	drawn, err := picture.Tree("Who invited whom", subtitle, rows, map[picture.Tint]string{
		picture.Plain: "not invited by anybody I saw", picture.Good: "accepted", picture.Open: "pending", picture.Bad: "declined or banned", picture.Absent: "withdrawn, expired or unseen",
	})
	if err != nil {
		return Reply{}, err
	}
	return Reply{Image: &Image{drawn, "tree.png", "Who invited whom: " + subtitle}}, nil
}
