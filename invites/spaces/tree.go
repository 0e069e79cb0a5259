package spaces

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// Homeserver shows spaces.
type Homeserver interface {
	// Hierarchy returns a space and its rooms as a user sees them (empty: the bot), and whether these are all.
	Hierarchy(ctx context.Context, space id.RoomID, as id.UserID) (rooms []invites.SpaceRoom, whole bool, err error)
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Spaces returns the spaces that a room named as its own.
	Spaces(r id.RoomID) []id.RoomID
}

// Standing is what a person has to do with a room of a space.
type Standing string

// The standings.
const (
	Joined     Standing = "joined"
	Invited    Standing = "invited"
	Membership Standing = "membership" // the join rule lets members of the space in
	Open       Standing = "open"       // the join rule lets everybody in
	Wanted     Standing = "wanted"     // an invitation would be sent
	Later      Standing = "later"      // the invitation waits for the person to join the space
	Sending    Standing = "sending"
	Approval   Standing = "approval"
	Refused    Standing = "refused" // Why and Code say why
	Unseen     Standing = "unseen"  // the bot is not there
	Withdrawn  Standing = "withdrawn"
)

// Node is one room of a tree.
type Node struct {
	Room     id.RoomID
	Name     string
	Depth    int // 0: the space itself
	Space    bool
	Standing Standing
	Why      room.Phrase
	Code     string
	Hidden   bool // people in the room of the command may not know the room
}

// Tree is a space with the standing of a person in its rooms.
type Tree struct {
	Space  id.RoomID
	Target id.UserID
	Nodes  []Node // each before its children, in the order of the space
	Whole  bool   // false: the space has more rooms
}

// maxNodes and maxDepth bound a tree.
const (
	maxNodes = 100
	maxDepth = 4
)

// ErrNoSpace says that a room is no space, or not one that the asker sees. ErrWhichSpace says that a room is in none, or in several.
var (
	ErrNoSpace    = errors.New("spaces: no space")
	ErrWhichSpace = errors.New("spaces: which space?")
)

// Of returns the space meant in a room: itself, or the only space which it names and the asker is in.
func (s *Spaces) Of(ctx context.Context, r id.RoomID, asker id.UserID) (id.RoomID, error) {
	is, err := s.Judge.Reach.IsSpace(ctx, r, asker)
	if err != nil || is {
		return r, err
	}
	var found []id.RoomID
	for _, space := range s.Homeserver.Spaces(r) {
		switch err := s.Judge.Reach.Member(ctx, space, asker); {
		case err == nil:
			found = append(found, space)
		case !errors.Is(err, judge.ErrNotJoined):
			return "", err
		}
	}
	if len(found) != 1 {
		return "", ErrWhichSpace
	}
	return found[0], nil
}

// Tree shows a space for an asker, with the standing of a person in each room. With suggested, only suggested rooms count.
func (s *Spaces) Tree(ctx context.Context, w Wish) (Tree, error) {
	tree := Tree{Space: w.Space, Target: w.Target}
	if err := s.Judge.Reach.Member(ctx, w.Space, w.Actor); errors.Is(err, judge.ErrNotJoined) {
		return tree, ErrNoSpace
	} else if err != nil {
		return tree, err
	}
	as := id.UserID("")
	if s.Self.MayAssert(w.Actor) {
		as = w.Actor
	}
	rooms, whole, err := s.Homeserver.Hierarchy(ctx, w.Space, as)
	if invites.Unseen(err) {
		return tree, ErrNoSpace
	} else if err != nil {
		return tree, fmt.Errorf("reading the space: %w", err)
	}
	tree.Whole = whole
	known := map[id.RoomID]*invites.SpaceRoom{}
	for i := range rooms {
		known[rooms[i].Room] = &rooms[i]
	}
	root := known[w.Space]
	if root == nil || !root.Space {
		return tree, ErrNoSpace
	}
	v := visit{s: s, w: w, as: as, known: known, seen: map[id.RoomID]bool{}, gets: map[id.RoomID]bool{w.Space: true}}
	err = v.node(ctx, root, 0, &tree)
	return tree, err
}

// visit walks through a space.
type visit struct {
	s     *Spaces
	w     Wish
	as    id.UserID // who asked the homeserver; empty: the bot
	known map[id.RoomID]*invites.SpaceRoom
	seen  map[id.RoomID]bool // no room comes twice, so no circle of spaces matters
	gets  map[id.RoomID]bool // the rooms where the person is, or gets in
}

// node adds a room and the rooms below it.
func (v *visit) node(ctx context.Context, r *invites.SpaceRoom, depth int, tree *Tree) error {
	if v.seen[r.Room] {
		return nil
	}
	v.seen[r.Room] = true
	if len(tree.Nodes) == maxNodes || depth > maxDepth {
		tree.Whole = false
		return nil
	}
	now, err := v.look(ctx, r)
	if err != nil {
		return err
	}
	if may, err := v.mayName(ctx, r, depth); err != nil || !may {
		return err
	}
	n := Node{Room: r.Room, Name: r.Name, Depth: depth, Space: r.Space, Hidden: v.w.hides(r)}
	if err := v.judge(ctx, r, now, &n); err != nil {
		return err
	}
	if n.Standing != Refused && n.Standing != Unseen {
		v.gets[r.Room] = true
	}
	tree.Nodes = append(tree.Nodes, n)
	for _, link := range r.Children {
		child := v.known[link.Room]
		if child == nil || v.w.Suggested && !link.Suggested && !child.Space {
			continue
		}
		if err := v.node(ctx, child, depth+1, tree); err != nil {
			return err
		}
	}
	return nil
}

// mayName reports whether the asker sees a room. Where the bot asked the homeserver in place of the asker, it tells of no room that is not open to
// them: they are in it, anybody may read it or find it, or they are in a room whose members it lets in.
func (v *visit) mayName(ctx context.Context, r *invites.SpaceRoom, depth int) (bool, error) {
	if v.as != "" || depth == 0 || open(r) {
		return true, nil
	}
	for _, in := range append([]id.RoomID{r.Room}, r.Allowed[:min(len(r.Allowed), maxDepth)]...) {
		err := v.s.Judge.Reach.Member(ctx, in, v.w.Actor)
		if err == nil || !errors.Is(err, judge.ErrNotJoined) {
			return err == nil, err
		}
		if r.JoinRule != "restricted" {
			break
		}
	}
	return false, nil
}

// open reports whether anybody may find a room.
func open(r *invites.SpaceRoom) bool {
	return r.Readable || r.JoinRule == "public" || r.JoinRule == "knock" || r.JoinRule == "knock_restricted"
}

// hides reports whether people in the room of the command may not know a room: it is another one, not open, and does not let them in.
func (w Wish) hides(r *invites.SpaceRoom) bool {
	return r.Room != w.CommandRoom && !open(r) && (r.JoinRule != "restricted" || !slices.Contains(r.Allowed, w.CommandRoom))
}

// hidden is hides by the state of a room as the actor sees it.
func (s *Spaces) hidden(ctx context.Context, w Wish, in id.RoomID) (bool, error) {
	r, visibility := invites.SpaceRoom{Room: in}, room.Key{Type: room.TypeHistoryVisibility}
	snap, err := s.Homeserver.Snapshot(ctx, in, w.Actor, []room.Key{{Type: room.TypeJoinRules}, visibility}, false)
	if err != nil {
		return true, invites.UnlessUnseen(err)
	}
	readRule(snap, &r)
	event, _ := snap.Event(visibility)
	r.Readable = event != nil && exactjson.Text(event.Content, "history_visibility") == "world_readable"
	return w.hides(&r), nil
}

// look reads the person's membership in a room, for an asker who is there, and the room's join rule: some homeservers leave a part of it out of their
// answer.
func (v *visit) look(ctx context.Context, r *invites.SpaceRoom) (membership string, err error) {
	snap, err := v.s.Homeserver.Snapshot(ctx, r.Room, v.w.Actor, []room.Key{room.MemberKey(v.w.Target), room.MemberKey(v.w.Actor), {Type: room.TypeJoinRules}}, false)
	if invites.Unseen(err) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("reading a room of a space: %w", err)
	}
	readRule(snap, r)
	if own, _ := snap.Membership(v.w.Actor); own == "join" {
		membership, _ = snap.Membership(v.w.Target)
	}
	return membership, nil
}

// readRule reads the join rule of a room.
func readRule(snap *room.Snapshot, r *invites.SpaceRoom) {
	if rule, known := snap.JoinRule(); known {
		r.JoinRule, r.Allowed = rule, nil
	}
	if event, _ := snap.Event(room.Key{Type: room.TypeJoinRules}); event != nil {
		for allow := range exactjson.Items(event.Content, "allow") {
			if exactjson.Text(allow, "type") == "m.room_membership" {
				r.Allowed = append(r.Allowed, id.RoomID(exactjson.Text(allow, "room_id")))
			}
		}
	}
}

// judge finds the standing of the person in a room, where the membership is now.
func (v *visit) judge(ctx context.Context, r *invites.SpaceRoom, now string, n *Node) error {
	switch restricted := r.JoinRule == "restricted" || r.JoinRule == "knock_restricted"; {
	case now == "join":
		n.Standing = Joined
		return nil
	case now == "invite":
		n.Standing = Invited
		return nil
	case now != "ban" && n.Depth > 0 && r.JoinRule == "public":
		n.Standing = Open
		return nil
	case now != "ban" && n.Depth > 0 && restricted && slices.ContainsFunc(r.Allowed, func(in id.RoomID) bool { return v.gets[in] }):
		n.Standing = Membership
		return nil
	}
	judged, err := v.s.Requests.DryRun(ctx, v.w.request(r.Room, room.Invite))
	if err != nil {
		return err
	}
	switch d := judged[0].Decision; {
	case d.Verdict == room.Allow:
		n.Standing = Wanted
	case d.Code == policy.CodeApproval:
		n.Standing = Wanted
		n.Why, n.Code = judged[0].Explain().Phrase(), string(d.Code)
	case d.Code == policy.CodeNoView:
		n.Standing, n.Code = Unseen, string(d.Code)
	default:
		n.Standing, n.Why, n.Code = Refused, judged[0].Explain().Phrase(), string(d.Code)
	}
	return nil
}

// request is the request of a wish for one room.
func (w Wish) request(r id.RoomID, action room.ActionType) requests.Request {
	return requests.Request{
		Origin: invites.OriginSpace, Command: w.Command, Key: fmt.Sprintf("%s%s:%s", invites.SpaceRequest, w.Command, r), CommandRoom: w.CommandRoom, Actor: w.Actor,
		Viewer: w.Actor, Action: action, Room: r, Targets: []id.UserID{w.Target}, Reason: w.Reason, AsBot: w.AsBot,
	}
}
