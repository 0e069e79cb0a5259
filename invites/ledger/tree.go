package ledger

import (
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Node is one user in a tree of invitations.
type Node struct {
	User  id.UserID
	Entry invites.Invitation // their invitation; zero for a root
	Depth int                // 0 for a root
}

// Tree lists users with their inviters, each user after their inviter.
type Tree struct {
	Nodes []Node
	More  bool // there are more users than asked for, or deeper ones
}

// maxDepth bounds how deep a tree is shown.
const maxDepth = 32

// Tree returns up to limit people of a room's tree: the branch of one user, or the whole room where root is empty. Users near the root
// come before users far from it.
func (s *Ledger) Tree(ctx context.Context, asker id.UserID, r id.RoomID, root id.UserID, limit int) (Tree, error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return Tree{}, err
	}
	return s.tree(ctx, r, root, limit)
}

func (s *Ledger) tree(ctx context.Context, r id.RoomID, root id.UserID, limit int) (Tree, error) {
	roots := []id.UserID{root}
	if root == "" {
		var err error
		if roots, err = s.Store.Roots(ctx, r, limit); err != nil {
			return Tree{}, err
		}
	}
	var t Tree
	children, seen := map[id.UserID][]Node{}, map[id.UserID]bool{}
	var level []Node
	for _, user := range roots {
		seen[user] = true
		level = append(level, Node{User: user})
	}
	top := level
	for total := len(level); len(level) > 0; {
		var next []Node
		for _, parent := range level {
			entries, err := s.Store.Children(ctx, r, parent.User, limit-total+1)
			if err != nil {
				return Tree{}, err
			}
			for _, e := range entries {
				if total >= limit || parent.Depth == maxDepth {
					t.More = true
					break
				}
				if seen[e.Target] {
					continue
				}
				seen[e.Target] = true
				child := Node{User: e.Target, Entry: e, Depth: parent.Depth + 1}
				children[parent.User] = append(children[parent.User], child)
				next = append(next, child)
				total++
			}
		}
		level = next
	}
	t.More = t.More || len(roots) >= limit
	for _, node := range top {
		t.Nodes = appendBranch(t.Nodes, node, children)
	}
	return t, nil
}

// appendBranch appends a node and the nodes below it.
func appendBranch(list []Node, node Node, children map[id.UserID][]Node) []Node {
	list = append(list, node)
	for _, child := range children[node.User] {
		list = appendBranch(list, child, children)
	}
	return list
}

// Branch returns up to limit open invitations of a branch: the root's own, and the invitations by the root or by anybody below it, also those
// that were not sent yet, as far as the asker may know of them.
func (s *Ledger) Branch(ctx context.Context, asker id.UserID, r id.RoomID, root id.UserID, limit int) (entries []invites.Invitation, more bool, err error) {
	tree, err := s.Tree(ctx, asker, r, root, limit)
	if err != nil {
		return nil, false, err
	}
	if own, err := s.Store.PendingOf(ctx, r, root); err == nil {
		entries = append(entries, own)
	} else if !errors.Is(err, invites.ErrNotFound) {
		return nil, false, err
	}
	for _, node := range tree.Nodes {
		by, err := s.Store.PendingBy(ctx, r, node.User, limit+1-len(entries))
		if err != nil {
			return nil, false, err
		}
		if entries = append(entries, by...); len(entries) > limit {
			return entries[:limit], true, nil
		}
	}
	rows, asked, err := s.unsent(ctx, asker, r)
	if err != nil {
		return nil, false, err
	}
	for _, c := range asked {
		rows = append(rows, invites.Change{Room: c.Room, Target: c.Target, Actor: c.Actor, CreatedAt: c.CreatedAt})
	}
	for _, row := range rows {
		below := slices.ContainsFunc(tree.Nodes, func(n Node) bool { return n.User == row.Actor })
		twice := slices.ContainsFunc(entries, func(e invites.Invitation) bool { return e.Target == row.Target })
		if below && !twice {
			entries = append(entries, invites.Invitation{Room: r, Target: row.Target, Inviter: row.Actor, At: row.CreatedAt})
		}
	}
	return entries[:min(len(entries), limit)], tree.More || len(entries) > limit, nil
}
