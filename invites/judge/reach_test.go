package judge_test

import (
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
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
