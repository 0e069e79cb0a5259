package judge_test

import (
	"errors"
	"testing"

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
