package judge_test

import (
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// TestInheritance: who may put a room under whose policy.
func TestInheritance(t *testing.T) {
	const space, other = id.RoomID("!space:here"), id.RoomID("!other:here")
	via := object{"via": []string{"here"}}
	parent := func(w *world, of id.RoomID, content object) {
		w.HS.Set(lobby, "m.space.parent", string(of), alice, content)
	}
	child := func(w *world, in id.RoomID, content object) {
		w.HS.Set(in, "m.space.child", string(lobby), alice, content)
		w.HS.Claim(in, lobby)
	}
	tests := []struct {
		name string
		set  func(*world)
		from string // rooms that the policy comes from
	}{
		{"both say so", func(w *world) { parent(w, space, via); child(w, space, via) }, "!space:here"},
		{"only the space says so", func(w *world) { child(w, space, via) }, ""},
		{"only the room says so", func(w *world) { parent(w, space, via); w.HS.Claim(space, lobby) }, ""},
		{"the space took it back", func(w *world) { parent(w, space, via); child(w, space, via); child(w, space, object{}) }, ""},
		{"the room took it back", func(w *world) { parent(w, space, object{}); child(w, space, via) }, ""},
		{"its own comes first", func(w *world) { parent(w, space, via); child(w, space, via); w.Govern(object{"ask": object{}}) }, "!lobby:here !space:here"},
		{"no space", func(w *world) { parent(w, bystander, via); child(w, bystander, via) }, ""},
		{"a space that can't be read", func(w *world) { parent(w, "!hidden:here", via); w.HS.Claim("!hidden:here", lobby) }, ""},
		{"the canonical one", func(w *world) {
			parent(w, other, via)
			child(w, other, via)
			parent(w, space, object{"via": []string{"here"}, "canonical": true})
			child(w, space, via)
		}, "!space:here"},
		{"the first by name", func(w *world) {
			parent(w, other, via)
			child(w, other, via)
			parent(w, space, via)
			child(w, space, via)
		}, "!other:here"},
		{"spaces in spaces", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.HS.Set(space, "m.space.parent", string(other), alice, via)
			w.HS.Set(other, "m.space.child", string(space), alice, via)
			w.HS.Claim(other, space)
		}, "!space:here !other:here"},
		{"a circle", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.HS.Set(space, "m.space.parent", string(space), alice, via)
			w.HS.Set(space, "m.space.child", string(space), alice, via)
			w.HS.Claim(space, space)
		}, "!space:here"},
		{"parents are for anybody to name", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100}, "events": object{"m.space.parent": 49}})
		}, ""},
		{"parents take more than the policy", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100}, "events": object{"m.space.parent": 80, policy.EventType: 70}})
		}, "!space:here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			for _, r := range []id.RoomID{space, other} {
				w.HS.Create(r, "11", alice, bot)
				w.HS.Set(r, "m.room.create", "", alice, object{"room_version": "11", "type": "m.space"})
				w.Govern(object{"ask": object{"level": 30}}, r)
			}
			w.HS.Create(bystander, "11", alice, bot)
			w.Govern(object{"ask": object{"level": 30}}, bystander)
			tt.set(w)
			p, err := w.Judge.Policies.Of(t.Context(), lobby, alice)
			if err != nil {
				t.Fatal(err)
			}
			var from []string
			for _, source := range p.Sources {
				from = append(from, string(source.Room))
			}
			if got := strings.Join(from, " "); got != tt.from {
				t.Errorf("comes from %q, want %q", got, tt.from)
			}
		})
	}
}

const bystander = id.RoomID("!bystander:here")

// TestArmedLink: a room inherits from a space that somebody named who has the power to write the room's policy. Raising the level does not give effect
// to an older event of somebody weaker; a room that inherits already goes on.
func TestArmedLink(t *testing.T) {
	const space = id.RoomID("!space:here")
	w := newWorld(t)
	via := object{"via": []string{"here"}}
	levels := func(naming, carols int) {
		w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(carol): carols},
			"events": object{"m.space.parent": naming, policy.EventType: 100}})
	}
	inherits := func() bool {
		p, err := w.Judge.Policies.Of(t.Context(), lobby, bot)
		if err != nil || p == nil {
			t.Fatal(p, err)
		}
		return p.Governs()
	}
	w.HS.Create(space, "11", carol, bot)
	w.HS.Set(space, "m.room.create", "", carol, object{"room_version": "11", "creator": carol, "type": "m.space"})
	w.HS.Set(space, policy.EventType, "", carol, object{"version": 1, "delegate": true})
	w.HS.Set(space, "m.space.child", string(lobby), carol, via)
	levels(50, 50)
	w.HS.Set(lobby, "m.space.parent", string(space), carol, via)
	w.HS.Claim(space, lobby)
	if inherits() {
		t.Error("naming a space takes less power than writing the policy")
	}
	if levels(100, 50); inherits() {
		t.Error("raising the level arms the link")
	}
	if levels(100, 100); !inherits() {
		t.Error("the link does not count although its sender has the power")
	}
	w.HS.Kept = []room.Key{{Type: room.TypePowerLevels}}
	if p, err := w.Judge.Policies.Of(t.Context(), lobby, bot); err != nil || p != nil {
		t.Errorf("a policy is known while the power levels are kept back: %v %v", p, err)
	}
	w.HS.Kept = nil
	if levels(100, 50); !inherits() {
		t.Error("the policy lapses when the sender is demoted")
	}
	if levels(50, 50); inherits() {
		t.Error("anybody with less power may name another space")
	}
	levels(100, 100)
	for _, kind := range []string{"m.space.parent", "m.space.child"} {
		in, key := lobby, space
		if kind == "m.space.child" {
			in, key = space, lobby
		}
		w.HS.Set(in, kind, string(key), carol, object{"via": []string{}})
		if inherits() {
			t.Errorf("an %s without servers links the rooms", kind)
		}
		if w.HS.Set(in, kind, string(key), carol, via); !inherits() {
			t.Errorf("an %s with servers does not", kind)
		}
	}
}

// TestHeirs: whoever inherits from a space is found once, however many spaces are between and whether or not these have policies.
func TestHeirs(t *testing.T) {
	const top, left, right, beside = id.RoomID("!top:here"), id.RoomID("!left:here"), id.RoomID("!right:here"), id.RoomID("!beside:here")
	via := object{"via": []string{"here"}}
	w := newWorld(t)
	var links []invites.SpaceChild
	for _, r := range []id.RoomID{top, left, right, beside, bystander} {
		w.HS.Create(r, "11", alice, bot)
		w.HS.Set(r, "m.room.create", "", alice, object{"room_version": "11", "type": "m.space"})
	}
	link := func(space, child id.RoomID) {
		w.HS.Set(child, "m.space.parent", string(space), alice, via)
		w.HS.Set(space, "m.space.child", string(child), alice, via)
		w.HS.Claim(space, child)
		links = append(links, invites.SpaceChild{Space: space, Child: child})
	}
	heirs := func(want ...id.RoomID) {
		t.Helper()
		for _, r := range []id.RoomID{lobby, left, right, bystander} {
			if _, err := w.Judge.Policies.Of(t.Context(), r, bot); err != nil {
				t.Fatal(err)
			}
		}
		got, err := w.Judge.Policies.Heirs(t.Context(), top, links)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	link(top, left)
	link(top, right)
	link(left, lobby)
	link(right, lobby)
	link(beside, bystander)
	heirs()
	w.Govern(object{"ask": object{"level": 30}}, top)
	w.Govern(object{"ask": object{"level": 30}}, right)
	w.Govern(object{"ask": object{"level": 30}}, beside)
	heirs(left, right, lobby)
	w.HS.Member(top, bot, "leave")
	heirs(left, right, lobby)
	w.HS.Set(lobby, "m.space.parent", string(left), alice, object{})
	heirs(left, right, lobby)
	w.HS.Set(lobby, "m.space.parent", string(right), alice, object{})
	heirs(left, right)
}

// TestSpaceLost: a policy that a room inherited does not lapse because the bot can't see the space any more: it denies, until the bot is
// back, or the room or the space ends the link.
func TestSpaceLost(t *testing.T) {
	const space = id.RoomID("!space:here")
	via := object{"via": []string{"here"}}
	w := newWorld(t)
	build := func(claims, policy bool) {
		w.HS.Create(space, "11", alice, bot)
		w.HS.Set(space, "m.room.create", "", alice, object{"room_version": "11", "type": "m.space"})
		if policy {
			w.Govern(object{"ask": object{"level": 30}}, space)
		}
		if claims {
			w.HS.Set(space, "m.space.child", string(lobby), alice, via)
		}
	}
	w.HS.Set(lobby, "m.space.parent", string(space), alice, via)
	w.HS.Claim(space, lobby)
	faulty := func(name string, want bool) {
		t.Helper()
		p, err := w.Judge.Policies.Of(t.Context(), lobby, alice)
		if err != nil {
			t.Fatal(name, err)
		}
		if fault := p.Fault(); (fault != nil) != want || want && fault.Room != space {
			t.Errorf("%s: %+v", name, fault)
		}
	}
	faulty("a space that the bot never saw", false)
	build(true, true)
	faulty("inherited", false)
	w.HS.Drop(space)
	faulty("lost", true)
	if rows := w.MustAsk(t, w.Request(t, alice, bob)); rows[0].Status != "refused" || rows[0].Code != string(policy.CodeMalformed) {
		t.Errorf("invited: %+v", rows[0])
	}
	build(true, true)
	faulty("back", false)
	build(true, false)
	faulty("without a policy by now", false)
	w.HS.Drop(space)
	faulty("lost when it had no policy", false)
	build(true, true)
	faulty("inherited again", false)
	w.HS.Drop(space)
	w.HS.Set(lobby, "m.space.parent", string(space), alice, object{})
	faulty("the room does not name it any more", false)
}
