package dashboard

import (
	"fmt"
	"net/http"

	"usher/invites/ledger"
)

// maxNodes is how many people of a tree a page shows.
const maxNodes = 150

// The size of a tree, in pixels.
const (
	rowHeight = 26
	indent    = 22
	letter    = 8.4 // about as wide as a letter gets on average
)

// node is a person in the drawing of a tree.
type node struct {
	Name, Class, Note, Link string
	X, Y, Text              float64
	Line                    string // from the inviter, as a path; empty for a root
}

// drawing is the drawing of a tree.
type drawing struct {
	Nodes         []node
	Width, Height int
	More          bool
}

// draw draws a tree.
func (v *visit) draw(t ledger.Tree) drawing {
	dr := drawing{More: t.More, Height: len(t.Nodes)*rowHeight + 4}
	var above []float64 // of each depth, the last person's height
	for i, n := range t.Nodes {
		one := node{Name: v.Text(n.User), Class: "plain", Link: v.Of(n.User), X: float64(n.Depth*indent) + 10, Y: float64(i*rowHeight) + 15}
		if n.Depth > 0 {
			one.Class, one.Note = tint(n.Entry.Fate), v.Day(n.Entry.At)
			one.Line = fmt.Sprintf("M%g %gV%gH%g", one.X-indent, above[n.Depth-1]+6, one.Y, one.X-6)
		}
		above = append(above[:n.Depth], one.Y)
		one.Text = one.X + 11
		dr.Width = max(dr.Width, int(one.Text+letter*float64(len([]rune(one.Name))+len(one.Note)+2)))
		dr.Nodes = append(dr.Nodes, one)
	}
	return dr
}

// treePage shows who came through whom.
type treePage struct {
	*visit
	Tree   drawing
	Legend []legend
}

// tree shows the tree of a room, or the branch of one person.
func (d *Dashboard) tree(v *visit) error {
	t, err := d.Ledger.Tree(v.r.Context(), v.User, v.Room, "", maxNodes)
	if err != nil {
		return err
	}
	v.Title, v.Tab = v.Say("dash.tree"), "tree"
	v.show(http.StatusOK, "tree.html", treePage{v, v.draw(t), v.meanings()})
	return nil
}

// meanings are the meanings of the colours of people.
func (v *visit) meanings() []legend {
	return []legend{
		{"plain", v.Say("picture.plain")}, {"good", v.Say("picture.good")}, {"open", v.Say("picture.open")}, {"bad", v.Say("picture.bad")}, {"absent", v.Say("picture.absent")},
	}
}
