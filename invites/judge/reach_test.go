package judge_test

import (
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// TestKeptBack: a piece of state that the homeserver keeps back counts neither as missing nor as a refusal.
func TestKeptBack(t *testing.T) {
	w := newWorld(t)
	w.Govern(object{"ask": object{"level": 50}})
	reach := w.Judge.Reach
	for _, tt := range []struct {
		what string
		kept room.Key
		ask  func() error
	}{
		{"membership", room.MemberKey(carol), func() error { return reach.Member(t.Context(), lobby, carol) }},
		{"power", room.Key{Type: room.TypePowerLevels}, func() error { return reach.MayKick(t.Context(), lobby, alice) }},
		{"policy", policy.Key(), func() error { _, err := w.Judge.Policies.Own(t.Context(), lobby, alice); return err }},
	} {
		if err := tt.ask(); err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
		w.HS.Kept = []room.Key{tt.kept}
		if err := tt.ask(); !errors.Is(err, invites.ErrKept) {
			t.Errorf("%s kept back: %v", tt.what, err)
		}
		w.HS.Kept = nil
	}
	w.HS.Kept = []room.Key{{Type: room.TypeTombstone}}
	if _, err := reach.Current(t.Context(), lobby); err == nil {
		t.Error("a room counts as never replaced")
	}
}

// TestMember: only members ask about a room.
func TestMember(t *testing.T) {
	w := newWorld(t)
	for user, want := range map[id.UserID]error{carol: nil, bob: judge.ErrNotJoined} {
		if err := w.Judge.Reach.Member(t.Context(), lobby, user); !errors.Is(err, want) {
			t.Errorf("%s: %v", user, err)
		}
	}
	for _, membership := range []string{"invite", "knock", "leave", "ban"} {
		w.HS.Member(lobby, bob, membership)
		if err := w.Judge.Reach.Member(t.Context(), lobby, bob); !errors.Is(err, judge.ErrNotJoined) {
			t.Errorf("%s: %v", membership, err)
		}
	}
}

// TestReachesForWriters: what an author of a policy may name, they may name as long as they may write that policy.
func TestReachesForWriters(t *testing.T) {
	const office id.RoomID = "!office:here"
	w := newWorld(t)
	w.HS.Create(office, "11", "@boss:there", bot, alice)
	w.Govern(object{"approval": object{"required": true, "room": office}})
	for _, power := range []int{50, 49} {
		w.HS.Set(lobby, room.TypePowerLevels, "", alice, object{"events": object{policy.EventType: 50}, "users": object{string(alice): power}})
		p, err := w.Judge.Policies.Of(t.Context(), lobby, bot)
		if err != nil {
			t.Fatal(err)
		}
		if may, err := w.Judge.Reach.Reaches(t.Context(), lobby, office, p, "approval.room", true); err != nil || may != (power == 50) {
			t.Errorf("with power %d: %t %v", power, may, err)
		}
	}
}

// TestSuccessorNamesItsPredecessor: a tombstone that names a room which does not name the old one leads nowhere.
func TestSuccessorNamesItsPredecessor(t *testing.T) {
	const next id.RoomID = "!next:here"
	for _, tt := range []struct {
		predecessor any
		want        id.RoomID
	}{
		{object{"room_id": lobby}, next},
		{object{"room_id": "!other:here"}, lobby},
		{nil, lobby},
	} {
		w := newWorld(t)
		w.HS.Create(next, "11", alice, w.In.Self.Bot)
		w.HS.Set(next, room.TypeCreate, "", alice, object{"room_version": "11", "predecessor": tt.predecessor})
		w.HS.Set(lobby, room.TypeTombstone, "", alice, object{"replacement_room": next})
		if now, err := w.Judge.Reach.Current(t.Context(), lobby); err != nil || now != tt.want {
			t.Errorf("predecessor %v: now %s, %v", tt.predecessor, now, err)
		}
	}
}
