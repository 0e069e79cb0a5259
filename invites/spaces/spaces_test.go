package spaces_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/spaces"
	"usher/room"
)

const (
	bot   = invitestest.Bot
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	space = id.RoomID("!space:here")
)

type world struct{ *invitestest.World }

// room makes a room with a join rule, at a place in a space.
func (w *world) room(r id.RoomID, in id.RoomID, order, rule string, allow ...id.RoomID) {
	w.HS.Create(r, "11", alice, bot)
	w.HS.Set(r, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "users": map[string]any{string(alice): 100, string(bot): 50}})
	rules := []any{}
	for _, a := range allow {
		rules = append(rules, map[string]any{"type": "m.room_membership", "room_id": a})
	}
	w.HS.Set(r, "m.room.join_rules", "", alice, map[string]any{"join_rule": rule, "allow": rules})
	if in != "" {
		w.HS.Set(in, "m.space.child", string(r), alice, map[string]any{"via": []string{"here"}, "order": order, "suggested": order < "c"})
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{invitestest.NewWorld(t)}
	w.HS.Name = "s"
	w.room(space, "", "", "invite")
	w.HS.Set(space, "m.room.create", "", alice, map[string]any{"room_version": "11", "creator": alice, "type": "m.space"})
	w.room("!open:here", space, "a", "public")
	w.room("!closed:here", space, "b", "invite")
	w.room("!sub:here", space, "c", "restricted", space)
	w.HS.Set("!sub:here", "m.room.create", "", alice, map[string]any{"room_version": "11", "creator": alice, "type": "m.space"})
	w.HS.Set("!sub:here", "m.space.child", string(space), alice, map[string]any{"via": []string{"here"}}) // a circle
	w.room("!inner:here", "!sub:here", "a", "knock_restricted", "!sub:here")
	w.room("!knock:here", "!sub:here", "b", "knock")
	w.room("!other:here", space, "d", "restricted", "!elsewhere:here")
	w.room("!secret:here", space, "e", "invite")
	w.HS.Set("!secret:here", invitestest.Hidden, "", alice, map[string]any{})
	w.room("!banned:here", space, "f", "restricted", space)
	w.HS.Set("!banned:here", "m.room.member", string(bob), alice, map[string]any{"membership": "ban"})
	return w
}

// wish is a new command by alice about bob.
func (w *world) wish(t *testing.T) spaces.Wish {
	req := w.Request(t, alice, bob)
	return spaces.Wish{Command: req.Command, CommandRoom: req.CommandRoom, Actor: alice, Space: space, Target: bob}
}

func shown(tree spaces.Tree) string {
	var rows []string
	for _, n := range tree.Nodes {
		rows = append(rows, strings.Repeat("-", n.Depth)+strings.TrimSuffix(string(n.Room), ":here")+" "+string(n.Standing)+strings.TrimSuffix(" "+n.Code, " "))
	}
	return strings.Join(rows, "\n")
}

func is(t *testing.T, when string, tree spaces.Tree, err error, want string) {
	t.Helper()
	if got := shown(tree); err != nil || got != want {
		t.Errorf("%s: %v\n%s\nwant\n%s", when, err, got, want)
	}
}

func (w *world) of(t *testing.T, r id.RoomID) string {
	t.Helper()
	snap, err := w.HS.Snapshot(t.Context(), r, alice, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := snap.Membership(bob)
	return m
}

// TestInvite: the space first, the rooms that need an invitation after the join, nobody into a room that lets members of the space in.
func TestInvite(t *testing.T) {
	w := newWorld(t)
	first := w.wish(t)
	tree, err := w.Spaces.Tree(t.Context(), first)
	is(t, "the tree", tree, err, `!space wanted
-!open open
-!closed wanted
-!sub membership
--!inner membership
--!knock wanted
-!other wanted
-!banned refused invite.target_banned`)
	tree, err = w.Spaces.Invite(t.Context(), first)
	const later = `!space invited
-!open open
-!closed later
-!sub membership
--!inner membership
--!knock later
-!other later
-!banned refused invite.target_banned`
	is(t, "the invitation", tree, err, later)
	acts := len(w.HS.Acts())
	w.Build() // a restart
	for _, wish := range []spaces.Wish{first, w.wish(t)} {
		tree, err = w.Spaces.Invite(t.Context(), wish)
		is(t, "again", tree, err, later)
	}
	came, err := w.Spaces.Sweep(t.Context())
	if err != nil || len(came) != 0 || len(w.HS.Acts()) != acts || w.of(t, "!closed:here") == "invite" {
		t.Fatalf("before the join: %v, %v, %d acts", came, err, len(w.HS.Acts())-acts)
	}
	w.HS.Member(space, bob, "join")
	came, err = w.Spaces.Sweep(t.Context())
	if err != nil || len(came) != 1 || came[0].Command != first.Command {
		t.Fatalf("after the join: %+v, %v", came, err)
	}
	is(t, "after the join", came[0].Tree, nil, "-!closed invited\n-!knock invited\n-!other invited")
	if came, err = w.Spaces.Sweep(t.Context()); err != nil || len(came) != 0 || len(w.HS.Acts()) != acts+3 {
		t.Errorf("afterwards: %v, %v, %d acts", came, err, len(w.HS.Acts())-acts)
	}
	tree, err = w.Spaces.Invite(t.Context(), w.wish(t))
	is(t, "once more", tree, err, strings.NewReplacer("!space invited", "!space joined", "later", "invited").Replace(later))
	tree, err = w.Spaces.Uninvite(t.Context(), w.wish(t), false)
	is(t, "taken back", tree, err, "-!closed withdrawn\n--!knock withdrawn\n-!other withdrawn")
}

// TestNow: the rooms at once, only suggested ones.
func TestNow(t *testing.T) {
	w := newWorld(t)
	wish := w.wish(t)
	wish.Now, wish.Suggested = true, true
	tree, err := w.Spaces.Invite(t.Context(), wish)
	is(t, "now", tree, err, "!space invited\n-!open open\n-!closed invited\n-!sub membership\n--!inner membership\n--!knock invited")
}

// TestOver: what waits ends with its time, with a ban, by a refusal of the space, and by being taken back.
func TestOver(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"time": func(w *world) { w.Clock.Advance(31 * 24 * time.Hour) },
		"ban":  func(w *world) { w.HS.Member(space, bob, "ban") },
		"declined": func(w *world) {
			w.HS.Member(space, bob, "leave")
			w.Clock.Advance(time.Minute)
			for _, m := range []invites.MemberEvent{{Event: "$i", Sender: alice, Membership: "invite"}, {Event: "$d", Sender: bob, Membership: "leave"}} {
				m.Room, m.Target, m.SentAt, m.SeenAt = space, bob, w.Clock.Now(), w.Clock.Now()
				if _, err := w.DB.Receive(t.Context(), nil, m); err != nil {
					t.Fatal(err)
				}
			}
		},
		"taken back": func(w *world) {
			if tree, err := w.Spaces.Uninvite(t.Context(), w.wish(t), false); err != nil || len(tree.Nodes) != 4 {
				t.Errorf("%v, %v", tree, err)
			}
		},
	} {
		w := newWorld(t)
		if _, err := w.Spaces.Invite(t.Context(), w.wish(t)); err != nil {
			t.Fatal(err)
		}
		end(w)
		if _, err := w.Spaces.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := w.DB.SpaceWaitsOf(t.Context(), space, bob); err != nil || len(left) != 0 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
		w.HS.Member(space, bob, "join")
		if came, err := w.Spaces.Sweep(t.Context()); err != nil || len(came) != 0 || w.of(t, "!closed:here") == "invite" {
			t.Errorf("%s: %v, %v", name, came, err)
		}
	}
}

// TestStranger: nobody sees a space without being in it, and, where the bot asks in their place, no room that is closed to them.
func TestStranger(t *testing.T) {
	w := newWorld(t)
	wish := w.wish(t)
	wish.Actor = carol
	if _, err := w.Spaces.Tree(t.Context(), wish); !errors.Is(err, spaces.ErrNoSpace) {
		t.Error(err)
	}
	w.HS.Member("!knock:here", bob, "invite")
	w.HS.Member(space, "@rob:there", "join")
	wish.Actor = "@rob:there" // nobody can be asked as
	tree, err := w.Spaces.Tree(t.Context(), wish)
	for _, n := range tree.Nodes {
		if n.Room == "!secret:here" || n.Room == "!closed:here" || n.Room == "!other:here" {
			t.Errorf("names %s", n.Room)
		}
		if n.Room == "!knock:here" && n.Standing != spaces.Refused {
			t.Errorf("tells of a room where the asker is not: %s", n.Standing)
		}
	}
	if err != nil || len(tree.Nodes) < 5 {
		t.Errorf("%s, %v", shown(tree), err)
	}
	if _, err := w.Spaces.Tree(t.Context(), spaces.Wish{Actor: alice, Space: "!open:here", Target: bob}); !errors.Is(err, spaces.ErrNoSpace) {
		t.Errorf("a room: %v", err)
	}
}

// TestKeptBack: what waits goes on waiting where the person's membership can't be known, also after a refusal.
func TestKeptBack(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Spaces.Invite(t.Context(), w.wish(t)); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	for _, m := range []invites.MemberEvent{{Event: "$i", Sender: alice, Membership: "invite"}, {Event: "$d", Sender: bob, Membership: "leave"}} {
		m.Room, m.Target, m.SentAt, m.SeenAt = space, bob, w.Clock.Now(), w.Clock.Now()
		if _, err := w.DB.Receive(t.Context(), nil, m); err != nil {
			t.Fatal(err)
		}
	}
	w.HS.Kept = []room.Key{room.MemberKey(bob)}
	if _, err := w.Spaces.Sweep(t.Context()); !errors.Is(err, invites.ErrKept) {
		t.Error(err)
	}
	if left, err := w.DB.SpaceWaitsOf(t.Context(), space, bob); err != nil || len(left) != 3 {
		t.Errorf("%v, %v", left, err)
	}
}

// hidden lists the rooms that people in the room of the command may not know.
func hidden(nodes []spaces.Node) string {
	var rooms []string
	for _, n := range nodes {
		if n.Hidden {
			rooms = append(rooms, strings.TrimSuffix(string(n.Room), ":here"))
		}
	}
	return strings.Join(rooms, " ")
}

// TestHidden: rooms that are closed to people in the room of the command are marked, also when they are told of after the join.
func TestHidden(t *testing.T) {
	w := newWorld(t)
	wish := w.wish(t)
	for in, want := range map[id.RoomID]string{wish.CommandRoom: "!space !closed !sub !other !banned", space: "!closed !other", "!elsewhere:here": "!space !closed !sub !banned"} {
		there := wish
		there.CommandRoom = in
		if tree, err := w.Spaces.Tree(t.Context(), there); err != nil || hidden(tree.Nodes) != want {
			t.Errorf("%s: %v, hidden %s", in, err, hidden(tree.Nodes))
		}
	}
	if _, err := w.Spaces.Invite(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	w.HS.Member(space, bob, "join")
	w.HS.Set("!closed:here", room.TypeHistoryVisibility, "", alice, map[string]any{"history_visibility": "world_readable"})
	came, err := w.Spaces.Sweep(t.Context())
	if err != nil || len(came) != 1 || !came[0].Hidden || hidden(came[0].Nodes) != "!other" {
		t.Errorf("%v %+v", err, came)
	}
}
