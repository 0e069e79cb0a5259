package judge_test

import (
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// TestUpgradedRoom: until a room has a policy of its own, the policy of the room that it replaces counts, by the word of both rooms.
func TestUpgradedRoom(t *testing.T) {
	const next, third, space = id.RoomID("!next:here"), id.RoomID("!third:here"), id.RoomID("!space:here")
	successor := func(w *world, r, of id.RoomID) {
		w.HS.Create(r, "11", alice, bot)
		w.HS.Set(r, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "predecessor": object{"room_id": of}})
	}
	stone := func(w *world, r, to id.RoomID) {
		w.HS.Set(r, room.TypeTombstone, "", alice, object{"replacement_room": to})
	}
	for _, tt := range []struct {
		name string
		set  func(*world)
		of   id.RoomID
		from string // rooms that the policy comes from, ! for a lapsed one
	}{
		{"both say so", func(w *world) { successor(w, next, lobby); stone(w, lobby, next) }, next, "!lobby:here"},
		{"only the new room", func(w *world) { successor(w, next, lobby) }, next, ""},
		{"only the old room", func(w *world) { w.HS.Create(next, "11", alice, bot); stone(w, lobby, next) }, next, ""},
		{"the old room names another", func(w *world) { successor(w, next, lobby); stone(w, lobby, third) }, next, ""},
		{"the new room has a policy", func(w *world) {
			successor(w, next, lobby)
			stone(w, lobby, next)
			w.HS.Set(next, policy.EventType, "", alice, object{"version": 1, "delegate": false})
		}, next, "!next:here"},
		{"the new room has an empty policy", func(w *world) {
			successor(w, next, lobby)
			stone(w, lobby, next)
			w.HS.Set(next, policy.EventType, "", alice, object{})
		}, next, "!next:here"},
		{"twice", func(w *world) {
			successor(w, next, lobby)
			stone(w, lobby, next)
			successor(w, third, next)
			stone(w, next, third)
		}, third, "!lobby:here"},
		{"in a circle", func(w *world) {
			successor(w, next, third)
			successor(w, third, next)
			stone(w, third, next)
			stone(w, next, third)
		}, third, ""},
		{"the author has left the old room", func(w *world) {
			successor(w, next, lobby)
			stone(w, lobby, next)
			w.HS.Member(lobby, alice, "leave")
		}, next, "!lobby:here!"},
		{"the old room is in a space", func(w *world) {
			successor(w, next, lobby)
			stone(w, lobby, next)
			w.HS.Set(lobby, room.TypeSpaceParent, string(space), alice, object{"via": []string{"here"}})
			w.HS.Set(space, room.TypeSpaceChild, string(lobby), alice, object{"via": []string{"here"}})
			w.HS.Claim(space, lobby)
		}, next, "!lobby:here !space:here"},
		{"the old room itself", func(w *world) { successor(w, next, lobby); stone(w, lobby, next) }, lobby, "!lobby:here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.HS.Create(space, "11", alice, bot)
			w.HS.Set(space, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "type": "m.space"})
			w.HS.Set(space, policy.EventType, "", alice, object{"version": 1, "quota": object{"room": object{"count": 9}}})
			w.HS.Set(lobby, policy.EventType, "", alice, object{"version": 1, "delegate": true})
			tt.set(w)
			p, err := w.Judge.Policies.Of(t.Context(), tt.of, bot)
			if err != nil || p == nil {
				t.Fatal(p, err)
			}
			var from []string
			for _, s := range p.Sources {
				from = append(from, string(s.Room)+map[bool]string{true: "!"}[s.Lapsed])
			}
			if got := strings.Join(from, " "); got != tt.from {
				t.Errorf("from %q, want %q", got, tt.from)
			}
		})
	}
}

// TestCopiedPolicy: a homeserver that copies a policy in an upgrade, in the name of the upgrading user, does not lend its fields that user's power.
// A policy that somebody wrote is theirs.
func TestCopiedPolicy(t *testing.T) {
	const next, third = id.RoomID("!next:here"), id.RoomID("!third:here")
	written, other := object{"version": 1, "delegate": true}, object{"version": 1, "delegate": true, "ask": object{"level": 1}}
	for _, tt := range []struct {
		name    string
		content object
		sender  id.UserID
		stone   id.RoomID // in the tombstone of the old room
		author  id.UserID
	}{
		{"copied", written, alice, next, carol},
		{"copied with the name of whom the bot wrote it for", object{"version": 1, "delegate": true, "for": alice}, alice, next, carol},
		{"written anew", other, alice, next, alice},
		{"by another than who made the room", written, "@rob:there", next, "@rob:there"},
		{"by the word of the new room alone", written, alice, "", alice},
	} {
		w := newWorld(t)
		w.HS.Set(lobby, policy.EventType, "", carol, written)
		of := lobby
		for _, r := range []id.RoomID{next, third} { // twice
			w.HS.Create(r, "11", alice, bot)
			w.HS.Set(r, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "predecessor": object{"room_id": of}})
			w.HS.Set(r, policy.EventType, "", tt.sender, tt.content)
			if stone := tt.stone; stone != "" {
				w.HS.Set(of, room.TypeTombstone, "", alice, object{"replacement_room": r})
			}
			p, err := w.Judge.Policies.Of(t.Context(), r, bot)
			if own, fault := w.Judge.Policies.Own(t.Context(), r, bot); err != nil || fault != nil || p.Sources[0].Person(bot) != tt.author || own.Person(bot) != tt.author {
				t.Errorf("%s, %s: by %s and %s, want %s %v %v", tt.name, r, p.Sources[0].Person(bot), own.Person(bot), tt.author, err, fault)
			}
			of = r
		}
	}
}

// TestCarriedAndInherited: a policy that one room inherits from a space is another matter for the room that replaces the space.
func TestCarriedAndInherited(t *testing.T) {
	const space, next = id.RoomID("!space:here"), id.RoomID("!next:here")
	w := newWorld(t)
	via := object{"via": []string{"here"}}
	w.HS.Create(space, "11", alice, bot)
	w.HS.Set(space, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "type": "m.space"})
	w.HS.Set(space, policy.EventType, "", alice, object{"version": 1, "delegate": true})
	w.HS.Set(space, room.TypeSpaceChild, string(lobby), alice, via)
	w.HS.Set(lobby, room.TypeSpaceParent, string(space), alice, via)
	w.HS.Claim(space, lobby)
	w.HS.Create(next, "11", alice, bot)
	w.HS.Set(next, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "type": "m.space", "predecessor": object{"room_id": space}})
	w.HS.Set(space, room.TypeTombstone, "", alice, object{"replacement_room": next})
	for r, carried := range map[id.RoomID]bool{lobby: false, next: true} {
		for _, again := range []id.RoomID{lobby, next, r} {
			p, err := w.Judge.Policies.Of(t.Context(), again, bot)
			if err != nil || len(p.Sources) != 1 || again == r && p.Sources[0].Carried != carried {
				t.Fatal(again, p.Sources, err)
			}
		}
	}
}

// TestUpgradedSpace: the policy of the space that replaces a space counts if ending the old space takes as much power as writing its policy, and who
// ended it has that power.
func TestUpgradedSpace(t *testing.T) {
	const old, next = id.RoomID("!old:here"), id.RoomID("!new:here")
	for _, tt := range []struct {
		ending  int // level of the tombstone in the old space
		claims  bool
		governs bool // the new space has a policy
		by      id.UserID
		from    id.RoomID
	}{
		{100, true, true, alice, next}, {50, true, true, alice, old}, {100, false, true, alice, old}, {100, true, false, alice, old},
		{100, true, true, carol, old}, // who could, before the level was raised
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			w := newWorld(t)
			via := object{"via": []string{"here"}}
			for _, space := range []id.RoomID{old, next} {
				w.HS.Create(space, "11", alice, bot)
				w.HS.Set(space, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "type": "m.space", "predecessor": object{"room_id": old}})
				if space == old || tt.claims {
					w.HS.Set(space, room.TypeSpaceChild, string(lobby), alice, via)
					w.HS.Claim(space, lobby)
				}
				if space == old || tt.governs {
					w.HS.Set(space, policy.EventType, "", alice, object{"version": 1, "delegate": true})
				}
			}
			w.HS.Set(old, room.TypePowerLevels, "", alice, object{"users": object{alice.String(): 100}, "events": object{room.TypeTombstone: tt.ending, policy.EventType: 100}})
			w.HS.Set(old, room.TypeTombstone, "", tt.by, object{"replacement_room": next})
			w.HS.Set(lobby, room.TypeSpaceParent, string(old), alice, via)
			p, err := w.Judge.Policies.Of(t.Context(), lobby, bot)
			if err != nil || p == nil || len(p.Sources) != 1 || p.Sources[0].Room != tt.from {
				t.Errorf("%+v %v", p, err)
			}
		})
	}
}

// TestUpgradedList: the rules of the room that replaces a policy list count beside those of the list.
func TestUpgradedList(t *testing.T) {
	const old, next = id.RoomID("!bans:here"), id.RoomID("!bans2:here")
	w := newWorld(t)
	rule := func(r id.RoomID, key string, user id.UserID) {
		w.HS.Set(r, "m.policy.rule.user", key, alice, object{"entity": user, "recommendation": "m.ban", "reason": "spam"})
	}
	w.HS.Create(old, "11", alice, bot)
	rule(old, "a", bob)
	w.Govern(object{"whom": object{"lists": []string{string(old)}}})
	denied := func(user id.UserID) bool {
		rows := w.MustAsk(t, w.Request(t, alice, user))
		return rows[0].Code == string(policy.CodeListed)
	}
	if !denied(bob) {
		t.Error("the list does not count")
	}
	w.HS.Create(next, "11", alice, bot)
	w.HS.Set(next, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice, "predecessor": object{"room_id": old}})
	rule(next, "b", "@rob:elsewhere")
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": next})
	if !denied("@rob:elsewhere") || !denied(bob) {
		t.Error("the list's successor does not count, or the list itself does not any more")
	}
	lines := w.Judge.Lists.Of(t.Context(), &policy.InForce{Document: policy.Document{Whom: policy.Whom{Lists: []id.RoomID{old}}}}, alice)
	if len(lines) != 1 || lines[0].Replaced != next || !lines[0].Followed {
		t.Errorf("%+v", lines)
	}
}
